package acceptance_test

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/devstack/release"
	"github.com/docmill/docmill/devstack/system"
)

// ordinary are conversions that every release supports.
func ordinary() []conversion {
	return []conversion{
		{file: "synth-letter.txt", pages: 1},
		{file: "synth-three-pages.docx", pages: 3},
		{file: "open-xml-sdk__AllSlidesConverterTC.pptx", options: map[string]string{"to": "png", "width": "320"}, pages: 5},
		{file: "synth-three-pages.docx", options: map[string]string{"pages": "2", "pdf_a": "2b"}, pages: 1},
		{file: "python-pptx__no-slides.pptx", code: "document-empty"},
	}
}

// Conversions that take seconds, and that need the key with which passwords are sealed.
var (
	long   = conversion{file: "odftoolkit__Presentation7.odp", pages: 100}
	sealed = conversion{file: "gotenberg__protected_page_1.docx", options: map[string]string{"password": "foo"}, pages: 1}
)

// releases builds the programs of this release and of the one before. It skips the test if the history is missing.
func releases(t *testing.T) (earlier, this system.Release) {
	t.Helper()
	earlier, err := release.Build(t.Context(), project, release.Baseline, system.Services()...)
	if errors.Is(err, release.ErrNoHistory) {
		t.Skipf("SKIPPED: the programs of an earlier release cannot be built. Run this test in a full clone. %v", err)
	}
	require.NoError(t, err)
	built, err := binaries()
	require.NoError(t, err)
	return earlier, system.Release{Binaries: built}
}

// TestUpgrade upgrades the services from an earlier release, and then rolls them back, in the order of
// docs/operations.md, one replica at a time and under load. In each state, jobs are accepted and end as expected. One
// converter is rolled back too early, so that an old converter runs with new gateways.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	earlier, this := releases(t)
	// Without the key, an attempt at a job with a password fails and is repeated.
	const noKey = "DOCMILL_SEAL_KEY="
	f := startFleet(t, earlier, noKey)
	stop := f.load(ordinary()...)
	f.works(ordinary()...)

	for _, status := range f.statuses {
		f.replace(status, this)
		f.works(ordinary()...)
	}

	waiting := f.submit(sealed)
	f.await(waiting, "the attempt failed", func(now jobapi.Job) bool { return now.Status == jobapi.Queued && now.Attempt > 0 })
	f.upgradeConverters(this)
	f.works(append(ordinary(), sealed)...)

	for _, gateway := range f.gateways {
		f.replace(gateway, this)
		f.works(append(ordinary(), sealed)...)
	}
	f.await(waiting, "a retry of the earlier release", func(now jobapi.Job) bool { return now.Status.Terminal() })

	f.redrive(this)

	// Back.
	f.replace(f.converters[1], earlier)
	f.works(append(ordinary(), sealed)...)
	for _, gateway := range slices.Backward(f.gateways) {
		f.replace(gateway, earlier)
		f.works(append(ordinary(), sealed)...)
	}
	f.awaitReturned()
	f.replace(f.converters[0], earlier)
	for _, status := range slices.Backward(f.statuses) {
		f.replace(status, earlier)
		f.works(append(ordinary(), sealed)...)
	}

	stop()
	f.check()
	f.requireEmptyQueues()
	dead, err := f.bench.Servers.RabbitMQ.MessageTypes(t.Context(), f.bench.Vhost, deadEvents)
	require.NoError(t, err)
	for _, kind := range dead {
		require.Equal(t, "docmill.conversion.v1.StatusMarked", kind, "the only message that the earlier status service did not know")
	}
	t.Logf("%d jobs", len(f.jobs))
}

// upgradeConverters stops and replaces one converter while it is working, and replaces the other one after killing it.
func (f *fleet) upgradeConverters(to system.Release) {
	f.t.Helper()
	f.running(long)
	f.replace(f.converters[0], to)
	f.works(ordinary()...)
	f.running(long)
	require.NoError(f.t, f.converters[1].Kill())
	f.restart(f.converters[1], to)
}

// redrive moves the marks that the earlier status services have dead-lettered back, so that they are applied.
func (f *fleet) redrive(with system.Release) {
	f.t.Helper()
	command := exec.CommandContext(f.t.Context(), filepath.Join(with.Binaries, "docmill-status"), "redrive")
	command.Env = append(os.Environ(), f.bench.BrokerEnv()...)
	output, err := command.CombinedOutput()
	require.NoError(f.t, err, "%s", output)
	require.Eventually(f.t, func() bool { return f.queues()[deadEvents] == 0 }, patience, time.Second)
}

// running submits a document for each converter, and waits until all of them are being converted.
func (f *fleet) running(c conversion) {
	f.t.Helper()
	var jobs []*followed
	for range f.converters {
		jobs = append(jobs, f.submit(c))
	}
	for _, job := range jobs {
		f.await(job, "the job runs", func(now jobapi.Job) bool { return now.Attempt > 0 })
	}
}

// awaitReturned waits until the queues that earlier releases do not consume are empty.
func (f *fleet) awaitReturned() {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		names := slices.Collect(maps.Keys(f.queues()))
		return !slices.ContainsFunc(names, func(name string) bool {
			return name == "docmill.convert.returned.v1" || strings.HasPrefix(name, "docmill.convert.retry.") && strings.HasSuffix(name, ".v2")
		})
	}, patience, time.Second)
}

// deadEvents is the queue to which an earlier status service dead-letters messages that it does not know.
const deadEvents = "docmill.status.dead.v1"

// requireEmptyQueues checks that the queues are empty, except for marks of the status service, which an earlier one does
// not know. The broker updates the numbers every 5 s.
func (f *fleet) requireEmptyQueues() {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		left := f.queues()
		delete(left, deadEvents)
		return len(left) == 0
	}, patience, time.Second)
}
