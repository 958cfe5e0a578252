package storetest_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/status/jobstore/storetest"
)

// TestMemory requires that the suite passes on a store without bugs.
func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Test(t, newMemory())
}

// A bug is a defect that a memoryStore can have.
type bug string

const (
	alwaysReady          bug = "ready before Run"
	leaveTerminal        bug = "leaves a terminal state"
	secondCompletionWins bug = "second completion wins"
	anySubmission        bug = "applies events of any submission"
	loseOthers           bug = "forgets the states of other submissions"
	versionNotCounted    bug = "does not count the version"
	reportAllChanged     bug = "reports duplicates as changes"
	reverseOrder         bug = "applies a batch in reverse order"
	showPlaceholder      bug = "shows placeholders"
	unknownIsEmpty       bug = "returns an empty job for an unknown id"
	forgetOnRestart      bug = "forgets jobs on restart"
	noLock               bug = "does not isolate transactions"
	refusalFailsBatch    bug = "a refused event fails its batch"
	swallowRefused       bug = "does not report a refused event"
	storeAnyText         bug = "stores any text"
	ignoreContext        bug = "ignores its context"
	canceledIsNotFound   bug = "reports a canceled read as not found"
	loseReport           bug = "loses the report"
	loseFont             bug = "loses a field inside of the report"
	loseRetryable        bug = "loses a flag"
	losePhase            bug = "loses the phase"
	loseRetry            bug = "loses the reason and the time of the next attempt"
	refuseCanceled       bug = "refuses the status canceled"
	truncateTimes        bug = "truncates times to milliseconds"
	expireFinished       bug = "Expire ends finished jobs"
	expireFresh          bug = "Expire ends fresh jobs"
	expireWithoutLimit   bug = "Expire ignores the limit"
	expireYoungestFirst  bug = "Expire takes the youngest first"
	expireReturnsAfter   bug = "Expire returns the jobs as they are after"
	showWithdrawn        bug = "shows withdrawn jobs"
	loseWithdrawn        bug = "forgets that a job was withdrawn"
	expireWithdrawn      bug = "Expire ends withdrawn jobs"
	deleteQueued         bug = "DeleteWithdrawn deletes queued jobs"
	deleteFresh          bug = "DeleteWithdrawn deletes fresh jobs"
	deleteUnlocked       bug = "DeleteWithdrawn deletes jobs that another transaction changes"
	expireByClock        bug = "Expire ignores the watermark"
	watermarkGoesBack    bug = "moves the watermark back"
	watermarkLatches     bug = "keeps a watermark that is in the future"
	watermarkAhead       bug = "returns a watermark that is in the future"
	placeholderIsUnknown bug = "does not distinguish placeholders from unknown ids"
	wrongClock           bug = "has a clock that is wrong"
	waitingAttempted     bug = "OldestWaiting includes jobs with an attempt"
	waitingHidden        bug = "OldestWaiting includes withdrawn jobs"
	waitingYoungest      bug = "OldestWaiting returns the youngest"
	listPlaceholders     bug = "lists placeholders"
	listWithdrawn        bug = "lists withdrawn jobs"
	listGone             bug = "lists tombstones"
	listOldestFirst      bug = "lists the oldest jobs first"
	listByInsertion      bug = "lists jobs in the order of their first events"
	listWithoutLimit     bug = "lists more jobs than requested"
	listRepeats          bug = "repeats the last job of a page"
	listByOffset         bug = "continues after as many jobs as before"
	listAnyStatus        bug = "ignores the wanted statuses"
	listOneStatus        bug = "lists one of the wanted statuses"
	listAnyTag           bug = "ignores the wanted tag"
	listTagPrefix        bug = "lists tags that begin with the wanted one"
	listOtherTags        bug = "finds the tags of other submissions"
	listAfterExclusive   bug = "leaves out a job that was created at the given time"
	listBeforeInclusive  bug = "lists a job that was created at the end of the given time"
	listWithReports      bug = "lists jobs with their reports"
	statsHidden          bug = "counts jobs that clients cannot see"
	statsOldest          bug = "returns the waits of the oldest jobs"
	statsUnstarted       bug = "returns the waits of jobs that have not started"
	statsNegative        bug = "returns negative waits"
	wakeNever            bug = "never wakes"
	wakeFirst            bug = "wakes for the first job of a batch only"
	wakeBeforeCommit     bug = "wakes before the commit"
	wakeForProgress      bug = "wakes for progress"
	wakePlaceholders     bug = "wakes for placeholders"
	showGone             bug = "shows deleted jobs"
	loseGone             bug = "forgets that a job was deleted"
	loseGeneration       bug = "forgets the generation"
	keepDeadline         bug = "does not restart the deadline of a retried job"
	dueEarly             bug = "Due returns jobs too early"
	dueWithoutLag        bug = "Due ignores the lag"
	dueWithoutLimit      bug = "Due ignores the limit"
	dueReturnsBefore     bug = "Due returns the jobs as they were before"
	dueUnrequested       bug = "returns jobs without a request"
	keepAgain            bug = "Keep takes jobs that have a time of expiry"
	forgetFiles          bug = "Forget deletes tombstones that have files"
	jobsOnlyVisible      bug = "Jobs returns visible jobs only"
	sourcesNotOfGone     bug = "Sources ignores tombstones"
	sourcesOfDeleted     bug = "Sources returns the keys of documents that were deleted"
	claimTwice           bug = "Claim returns true to everybody"
	claimForever         bug = "Claim never returns true again"
	observeForgets       bug = "does not remember the clock"
	observeAgain         bug = "begins a hold again"
	observeLatches       bug = "holds although the clock was corrected"
	observeCancels       bug = "ends a hold although the clock is still wrong"
	observeTrusts        bug = "trusts a clock that has jumped just before"
	holdForever          bug = "does not end a hold"
	enqueueNothing       bug = "enqueues no deliveries"
	enqueueAgain         bug = "enqueues a delivery for every change of an ended job"
	bellSilent           bug = "does not report new deliveries"
	receiverAlwaysDue    bug = "reports every receiver as due"
	leaseEarly           bug = "leases deliveries that are not due"
	leaseAnyReceiver     bug = "leases deliveries to other receivers"
	leaseInAnyOrder      bug = "leases a delivery before the earlier ones of its job"
	leaseForever         bug = "leases do not end"
	settleOldLease       bug = "settles an old lease"
	loseAttempts         bug = "forgets the attempts of a delivery"
	resendKeepsLease     bug = "settles a delivery that was sent again meanwhile"
	forgetOnlySettled    bug = "keeps webhooks of a deleted job that are settled later"
	forgetPending        bug = "does not send webhooks of a deleted job"
	deleteNew            bug = "DeleteDeliveries deletes new ones"
	countSettled         bug = "counts settled deliveries"
	reuseAnyDigest       bug = "reuses the result of another document"
	reuseAnyBuild        bug = "reuses the result of another build"
	reuseExpired         bug = "reuses the result of an expired job"
	reuseFirstExpiring   bug = "reuses the result that expires first"
	loseCallback         bug = "loses the callback of a job"
)

// plantedBug is the environment variable that makes TestPlanted run, on a store with that bug.
const plantedBug = "STORETEST_BUG"

// TestPlanted runs the suite on a store with a bug, as a child process of TestSuiteDetectsBugs.
func TestPlanted(t *testing.T) {
	t.Parallel()
	planted := os.Getenv(plantedBug)
	if planted == "" {
		return
	}
	storetest.Test(t, newMemory(bug(planted)))
}

// TestSuiteDetectsBugs requires that each bug makes the case fail that is meant to find it.
func TestSuiteDetectsBugs(t *testing.T) {
	t.Parallel()
	for planted, finders := range map[bug][]string{
		alwaysReady:          {"NotReadyBeforeRun"},
		leaveTerminal:        {"LateEvents", "FirstCompletionWins", "SameAsFold"},
		secondCompletionWins: {"FirstCompletionWins", "SameAsFold"},
		anySubmission:        {"Submissions", "SameAsFold"},
		loseOthers:           {"Submissions", "SameAsFold", "FieldsRoundTrip"},
		versionNotCounted:    {"VersionCountsChanges", "AppliedIsRead", "SameAsFold"},
		reportAllChanged:     {"Duplicates", "SameAsFold", "Concurrency"},
		reverseOrder:         {"OrderWithinBatch", "SameAsFold"},
		showPlaceholder:      {"Placeholder"},
		unknownIsEmpty:       {"UnknownID"},
		forgetOnRestart:      {"Restart", "Watermark"},
		noLock:               {"Concurrency"},
		refusalFailsBatch:    {"RefusedEvent", "RefusedText"},
		swallowRefused:       {"RefusedEvent", "RefusedText"},
		storeAnyText:         {"RefusedText"},
		ignoreContext:        {"CanceledContext"},
		canceledIsNotFound:   {"CanceledContext"},
		loseReport:           {"FieldsRoundTrip", "AppliedIsRead"},
		loseFont:             {"FieldsRoundTrip"},
		loseRetryable:        {"FieldsRoundTrip"},
		losePhase:            {"FieldsRoundTrip"},
		loseRetry:            {"FieldsRoundTrip", "AppliedIsRead"},
		refuseCanceled:       {"FieldsRoundTrip"},
		truncateTimes:        {"FieldsRoundTrip", "AppliedIsRead"},
		expireFinished:       {"Expire"},
		expireFresh:          {"Expire"},
		expireWithoutLimit:   {"ExpireLimit"},
		expireYoungestFirst:  {"ExpireLimit"},
		expireReturnsAfter:   {"Expire"},
		showWithdrawn:        {"Withdrawn", "DeleteWithdrawn"},
		loseWithdrawn:        {"Withdrawn", "DeleteWithdrawn"},
		expireWithdrawn:      {"DeleteWithdrawn"},
		deleteQueued:         {"DeleteWithdrawn"},
		deleteFresh:          {"DeleteWithdrawn"},
		deleteUnlocked:       {"DeletedMeanwhile"},
		expireByClock:        {"ExpireByWatermark"},
		watermarkGoesBack:    {"Watermark"},
		watermarkLatches:     {"WatermarkOfFastClock"},
		watermarkAhead:       {"WatermarkOfFastClock"},
		placeholderIsUnknown: {"Placeholder"},
		wrongClock:           {"Now"},
		waitingAttempted:     {"OldestWaiting"},
		waitingHidden:        {"OldestWaiting"},
		waitingYoungest:      {"OldestWaiting"},
		listPlaceholders:     {"ListHidden"},
		listWithdrawn:        {"ListHidden", "ListSameAsFilter"},
		listGone:             {"ListHidden", "ListSameAsFilter"},
		listOldestFirst:      {"List", "ListPages", "ListSameAsFilter"},
		listByInsertion:      {"List", "ListPages"},
		listWithoutLimit:     {"List", "ListSameAsFilter"},
		listRepeats:          {"List", "ListPages", "ListSameAsFilter"},
		listByOffset:         {"ListPages"},
		listAnyStatus:        {"List", "ListSameAsFilter"},
		listOneStatus:        {"List", "ListSameAsFilter"},
		listAnyTag:           {"List", "ListSameAsFilter"},
		listTagPrefix:        {"List"},
		listOtherTags:        {"List"},
		listAfterExclusive:   {"List", "ListSameAsFilter"},
		listBeforeInclusive:  {"List", "ListSameAsFilter"},
		listWithReports:      {"List"},
		statsHidden:          {"ListHidden"},
		statsOldest:          {"Stats"},
		statsUnstarted:       {"Stats"},
		statsNegative:        {"Stats"},
		wakeNever:            {"Notifications", "NotificationsOfBatch", "NotificationsOfExpire"},
		wakeFirst:            {"NotificationsOfBatch"},
		wakeBeforeCommit:     {"Notifications"},
		wakeForProgress:      {"Notifications"},
		wakePlaceholders:     {"Notifications"},
		showGone:             {"Gone"},
		loseGone:             {"Gone"},
		loseGeneration:       {"Generations"},
		keepDeadline:         {"Generations"},
		dueEarly:             {"Due"},
		dueWithoutLag:        {"Due"},
		dueWithoutLimit:      {"Due"},
		dueReturnsBefore:     {"Due"},
		dueUnrequested:       {"DueRequests"},
		keepAgain:            {"Keep"},
		forgetFiles:          {"Gone"},
		jobsOnlyVisible:      {"Jobs"},
		sourcesNotOfGone:     {"Jobs"},
		sourcesOfDeleted:     {"Jobs"},
		claimTwice:           {"Claim"},
		claimForever:         {"Claim"},
		observeForgets:       {"Observe", "ObserveReplicas"},
		observeAgain:         {"Observe"},
		observeLatches:       {"ObserveCorrections"},
		observeCancels:       {"ObserveCorrections"},
		observeTrusts:        {"ObserveAgain"},
		holdForever:          {"Observe"},
		enqueueNothing:       {"Deliveries", "DeliveriesOfExpire"},
		enqueueAgain:         {"Deliveries"},
		bellSilent:           {"Deliveries"},
		receiverAlwaysDue:    {"DeliveryReceivers"},
		leaseEarly:           {"DeliveryLeases", "DeliverySettlement", "DeliveryConcurrency"},
		leaseAnyReceiver:     {"DeliveryLeases", "DeliveryReceivers"},
		leaseInAnyOrder:      {"DeliveryOrder"},
		leaseForever:         {"DeliveryLeases"},
		settleOldLease:       {"DeliveryLeases"},
		loseAttempts:         {"DeliverySettlement", "DeliveryLeases"},
		resendKeepsLease:     {"DeliveryResend"},
		forgetOnlySettled:    {"ForgetDeliveries"},
		forgetPending:        {"ForgetDeliveries"},
		deleteNew:            {"DeleteDeliveries"},
		countSettled:         {"DeliveryBacklog"},
		reuseAnyDigest:       {"Reusable"},
		reuseAnyBuild:        {"Reusable"},
		reuseExpired:         {"Reusable"},
		reuseFirstExpiring:   {"Reusable"},
		loseCallback:         {"FieldsRoundTrip", "Deliveries"},
	} {
		for _, finder := range finders {
			t.Run(string(planted)+"/"+finder, func(t *testing.T) {
				t.Parallel()
				child := exec.Command(os.Args[0],
					"-test.run=^TestPlanted$/^"+finder+"$", "-rapid.nofailfile", "-rapid.shrinktime=0s")
				child.Env = append(os.Environ(), plantedBug+"="+string(planted))
				output, err := child.CombinedOutput()
				require.Error(t, err, "the suite has not detected the bug")
				require.Contains(t, string(output), "--- FAIL: TestPlanted/"+finder)
			})
		}
	}
}
