package acceptance_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/contract/jobapi"
	"github.com/docmill/docmill/contract/lifecycle"
	"github.com/docmill/docmill/devstack/system"
	"github.com/docmill/docmill/devstack/testbench"
)

// replicas is how many replicas of each service a fleet has.
const replicas = 2

// fleet runs several replicas of each of the three services, which can be replaced one by one by those of another
// release. Clients submit documents all the time, and poll all jobs, through all gateways, as behind a load balancer.
type fleet struct {
	t     *testing.T
	bench *testbench.Bench
	http  *http.Client

	statuses, converters, gateways []*system.Service

	mutex    sync.Mutex
	rotation []*member // guarded by mutex: the gateways, or the load balancer, that get requests
	turn     int       // guarded by mutex
	jobs     []*followed
	streamed int // jobs that were followed by a stream of events, which are not among jobs
}

// member is what gets requests.
type member struct {
	url      string
	requests sync.WaitGroup
}

// conversion is a submission with an expected end.
type conversion struct {
	file    string
	options map[string]string
	// pages is the number of pages of the result, or 0 if the job fails with the code.
	pages int
	code  client.Code
}

// followed is a job that is polled.
type followed struct {
	conversion

	id string
	// The others are guarded by the mutex of the fleet.
	history  lifecycle.History
	finished bool
}

// startFleet starts a fleet of a release. The additional settings apply to its converters until they are replaced.
func startFleet(t *testing.T, of system.Release, converter ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, bench: testbench.New(t), http: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(f.http.CloseIdleConnections)
	f.statuses = f.start(of, system.Status, nil, func(int) []string { return nil })
	f.converters = f.start(of, system.Converter, converter, func(int) []string {
		return []string{"DOCMILL_SLOTS=2", "DOCMILL_CONVERSION_MEMORY=512MiB"}
	})
	f.gateways = f.start(of, system.Gateway, nil, func(i int) []string { return []string{"DOCMILL_STATUS_URL=" + f.statuses[i].URL} })
	for _, one := range f.gateways {
		f.rotation = append(f.rotation, &member{url: one.URL})
	}
	return f
}

// start starts the replicas of a service. Their replacements get the settings of env, but not those of first.
func (f *fleet) start(of system.Release, service string, first []string, env func(i int) []string) []*system.Service {
	f.t.Helper()
	var all []*system.Service
	options := system.Options{Space: f.bench.Space, Release: system.Release{Binaries: of.Binaries}, LogDir: f.t.TempDir()}
	for i := range replicas {
		one := system.NewReplica(service, fmt.Sprintf("%s-%d", service, i+1), options, env(i)...)
		one.Switch(of)
		one.Reconfigure(first...)
		require.NoError(f.t, one.StartAnywhere(f.t.Context()))
		f.t.Cleanup(func() { require.NoError(f.t, one.Stop(context.Background())) })
		f.ready(one)
		all = append(all, one)
	}
	return all
}

func (f *fleet) ready(one *system.Service) {
	f.t.Helper()
	require.Eventually(f.t, func() bool { return one.Ready(f.t.Context()) == nil }, patience, 50*time.Millisecond, one.Name())
}

// replace stops a replica and starts the program of another release in its place.
func (f *fleet) replace(one *system.Service, by system.Release) {
	f.t.Helper()
	f.leave(one)
	require.NoError(f.t, one.Stop(f.t.Context()))
	f.restart(one, by)
}

// restart starts the program of another release in place of a replica that has ended.
func (f *fleet) restart(one *system.Service, as system.Release) {
	f.t.Helper()
	one.Switch(as)
	one.Reconfigure()
	require.NoError(f.t, one.Start(f.t.Context()))
	f.ready(one)
	if slices.Contains(f.gateways, one) {
		f.mutex.Lock()
		defer f.mutex.Unlock()
		f.rotation = append(f.rotation, &member{url: one.URL})
	}
}

// leave takes a gateway out of the rotation and waits until its requests have ended.
func (f *fleet) leave(one *system.Service) {
	f.mutex.Lock()
	i := slices.IndexFunc(f.rotation, func(m *member) bool { return m.url == one.URL })
	if i < 0 {
		f.mutex.Unlock()
		return
	}
	leaving := f.rotation[i]
	f.rotation = slices.Delete(f.rotation, i, i+1)
	f.mutex.Unlock()
	leaving.requests.Wait()
}

// through calls request with the URL of the next gateway in the rotation.
func (f *fleet) through(request func(url string)) {
	f.mutex.Lock()
	f.turn++
	next := f.rotation[f.turn%len(f.rotation)]
	next.requests.Add(1)
	f.mutex.Unlock()
	defer next.requests.Done()
	request(next.url)
}

// submit retries the submission of a document until it is accepted, and adds its job to those that are polled.
func (f *fleet) submit(c conversion) *followed {
	const pause = 100 * time.Millisecond
	for f.t.Context().Err() == nil {
		var job client.Job
		var err error
		f.through(func(url string) {
			to := client.New(url, once(), client.WithHTTPClient(f.http))
			job, err = to.SubmitFile(f.t.Context(), document(c.file), client.WithOptions(c.options))
		})
		switch {
		case err == nil:
			f.mutex.Lock()
			defer f.mutex.Unlock()
			added := &followed{conversion: c, id: job.ID}
			f.jobs = append(f.jobs, added)
			return added
		case !client.IsCode(err, client.CodeQueueUnavailable) && f.t.Context().Err() == nil:
			f.t.Errorf("submission of %s: %v", c.file, err)
			return nil
		}
		time.Sleep(pause)
	}
	return nil
}

// load submits the conversions in turn, and polls all jobs, until it is told to stop. It returns when all jobs have
// ended and were polled once more after that.
func (f *fleet) load(conversions ...conversion) (stop func()) {
	const interval, pollInterval, backlog = time.Second, 100 * time.Millisecond, 6
	submitting, end := context.WithCancel(f.t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for i := 0; submitting.Err() == nil; i++ {
			if len(f.unfinished()) < backlog {
				f.submit(conversions[i%len(conversions)])
			}
			time.Sleep(interval)
		}
	})
	polling, endPolls := context.WithCancel(f.t.Context())
	running.Go(func() {
		for polling.Err() == nil {
			for _, job := range f.unfinished() {
				f.poll(job)
			}
			time.Sleep(pollInterval)
		}
	})
	return sync.OnceFunc(func() {
		end()
		require.Eventually(f.t, func() bool { return len(f.unfinished()) == 0 }, patience, 100*time.Millisecond)
		endPolls()
		running.Wait()
		for _, job := range f.jobs {
			f.poll(job)
		}
	})
}

// unfinished returns the jobs that have not been seen to end.
func (f *fleet) unfinished() []*followed {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return slices.DeleteFunc(slices.Clone(f.jobs), func(job *followed) bool { return job.finished })
}

// poll polls a job once.
func (f *fleet) poll(job *followed) {
	status, body := f.get("/v1/jobs/" + job.id)
	if status == http.StatusServiceUnavailable { // its status service is being replaced
		return
	}
	var now jobapi.Job
	if err := json.Unmarshal(body, &now); status != http.StatusOK || err != nil {
		f.t.Errorf("job %s (%s): answered with %d: %s", job.id, job.file, status, body)
		return
	}
	withoutNewMembers(&now)
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if err := job.history.See(now); err != nil {
		f.t.Errorf("job %s (%s): %v", job.id, job.file, err)
	}
	job.finished = now.Status.Terminal()
}

// withoutNewMembers removes what an older release does not show.
func withoutNewMembers(job *jobapi.Job) {
	job.ExpiresAt = nil
	for i := range job.Warnings {
		job.Warnings[i].Severity = ""
	}
	if job.Report != nil {
		job.Report.MissingCharacters, job.Report.MissingCharactersTotal = "", 0
		for i := range job.Report.Fonts {
			job.Report.Fonts[i].SameMetrics = false
		}
	}
}

// get sends a request for a path to the next gateway.
func (f *fleet) get(path string) (status int, body []byte) {
	f.through(func(url string) {
		response, err := f.http.Get(url + path)
		if err != nil {
			f.t.Errorf("%s: %v", path, err)
			return
		}
		defer response.Body.Close()
		status = response.StatusCode
		if body, err = io.ReadAll(response.Body); err != nil {
			f.t.Errorf("%s: %v", path, err)
		}
	})
	return status, body
}

// seen returns the latest view of a job.
func (f *fleet) seen(job *followed) jobapi.Job {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	last, _ := job.history.Last()
	return last
}

// await waits until a job is seen in that state.
func (f *fleet) await(job *followed, what string, is func(jobapi.Job) bool) {
	f.t.Helper()
	require.Eventually(f.t, func() bool { return is(f.seen(job)) }, patience, 20*time.Millisecond, what)
}

// works checks that new jobs of each kind end, and that a stream of events reports the end of one.
func (f *fleet) works(conversions ...conversion) {
	f.t.Helper()
	var jobs []*followed
	for _, c := range conversions {
		jobs = append(jobs, f.submit(c))
	}
	f.through(func(url string) {
		job, err := client.New(url, client.WithHTTPClient(f.http)).SubmitFile(f.t.Context(), document("synth-letter.txt"))
		require.NoError(f.t, err)
		last := client.Job{}
		for last, err = range client.New(url, client.WithHTTPClient(f.http)).Events(f.t.Context(), job.ID) {
			require.NoError(f.t, err)
		}
		require.Equal(f.t, client.Succeeded, last.Status)
		f.streamed++
	})
	for _, job := range jobs {
		f.await(job, job.file, func(now jobapi.Job) bool { return now.Status.Terminal() })
	}
}

// check checks that all jobs have ended as expected.
func (f *fleet) check() {
	f.t.Helper()
	for _, job := range f.jobs {
		f.checkEnd(job, f.seen(job))
	}
}

func (f *fleet) checkEnd(job *followed, end jobapi.Job) {
	f.t.Helper()
	what := fmt.Sprintf("job %s (%s)", job.id, job.file)
	if job.pages == 0 {
		require.Equal(f.t, jobapi.Failed, end.Status, what)
		require.Equal(f.t, string(job.code), end.Error.Code, what)
		return
	}
	require.Equal(f.t, jobapi.Succeeded, end.Status, "%s: %+v", what, end.Error)
	require.EqualValues(f.t, job.pages, end.Result.Pages, what)
	status, body := f.get("/v1/jobs/" + job.id + "/result")
	require.Equal(f.t, http.StatusOK, status, what)
	sum := sha256.Sum256(body)
	require.Equal(f.t, end.Result.SHA256, hex.EncodeToString(sum[:]), what)
}

// queues returns how many messages are in each queue that is not empty.
func (f *fleet) queues() map[string]int {
	messages, err := f.bench.Servers.RabbitMQ.Messages(f.t.Context(), f.bench.Vhost)
	require.NoError(f.t, err)
	for name, n := range messages {
		if n == 0 {
			delete(messages, name)
		}
	}
	return messages
}
