//go:build cluster

// These tests need a cluster that kubectl reaches, with the images that the trial overlay names: `make test-cluster`.
package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/cluster"
)

const (
	overlay  = "../../k8s/overlays/trial"
	testdata = "../../testdata"
	// concurrency is how many conversions the load has in progress.
	concurrency = 8
)

var components = []string{cluster.Gateway, cluster.Status, cluster.Converter}

// TestTrial deploys the trial overlay and goes through a deployment's life. The order of its parts matters: the gentle ones
// come first, because they require that nothing is repeated.
func TestTrial(t *testing.T) { //nolint:paralleltest // there is one cluster
	s := &suite{}
	t.Run("ready within 3 minutes", s.deploy)
	if t.Failed() {
		t.FailNow()
	}
	t.Run("200 documents", s.documents)
	for _, component := range []string{cluster.Status, cluster.Converter, cluster.Gateway} {
		t.Run("rolling restart of "+component, func(t *testing.T) {
			s.gentle(t, func(ctx context.Context) error { return cluster.Restart(ctx, component) })
		})
	}
	t.Run("drain of a node", func(t *testing.T) { s.gentle(t, drain) })
	t.Run("scaling in", func(t *testing.T) { s.gentle(t, scaleIn) })
	t.Run("rolling upgrade and rollback", s.upgrade)
	t.Run("a pod of each kind killed every 10 s", s.kills)
	t.Run("from zero converters", s.fromZero)
	t.Run("scaling out and back to zero", s.scaleOut)
	t.Run("three converters with quotas", s.quotas)
}

type suite struct{ url string }

func (s *suite) deploy(t *testing.T) {
	began := time.Now()
	_, err := cluster.Kubectl(t.Context(), "apply", "--kustomize", overlay)
	require.NoError(t, err)
	require.NoError(t, cluster.Settle(t.Context(), components...))
	took := time.Since(began)
	t.Logf("ready after %.0f s", took.Seconds())
	require.Less(t, took, 3*time.Minute)
	if s.url = os.Getenv("BASE_URL"); s.url == "" {
		s.url, err = cluster.URL(t.Context())
		require.NoError(t, err)
	}
}

// documents converts 200 documents.
func (s *suite) documents(t *testing.T) {
	load := cluster.NewLoad(s.url, testdata)
	all := slices.Repeat(cluster.Documents(), 20)
	var conversions errgroup.Group
	conversions.SetLimit(concurrency)
	began := time.Now()
	for _, document := range all {
		conversions.Go(func() error { return load.Convert(t.Context(), document) })
	}
	require.NoError(t, conversions.Wait())
	t.Logf("%d documents in %.0f s", len(all), time.Since(began).Seconds())
	require.Equal(t, len(all), accept(t, load.Verdict()).Finished)
}

// accept logs a verdict, and fails the test if a job was lost or wrong, or a client saw an undocumented error.
func accept(t *testing.T, v cluster.Verdict) cluster.Verdict {
	t.Helper()
	t.Log(v)
	require.Empty(t, v.Wrong)
	require.Empty(t, v.Failures)
	require.Equal(t, v.Accepted, v.Finished)
	require.NotZero(t, v.Finished)
	return v
}

// during runs f under load, and goes on with the load for some seconds.
func (s *suite) during(t *testing.T, f func(ctx context.Context) error) (*cluster.Load, *cluster.Conversions) {
	t.Helper()
	load, conversions := cluster.NewLoad(s.url, testdata), &cluster.Conversions{}
	following, stopFollowing := context.WithCancel(t.Context())
	loading, stopLoading := context.WithCancel(t.Context())
	defer stopLoading()
	var followed, loaded sync.WaitGroup
	followed.Go(func() { conversions.Follow(following) })
	loaded.Go(func() {
		if err := load.Run(loading, concurrency); err != nil {
			t.Error(err)
		}
	})
	const around = 5 * time.Second
	time.Sleep(around)
	err := f(t.Context())
	time.Sleep(around)
	stopLoading()
	loaded.Wait()
	time.Sleep(time.Second) // for the last lines of the logs
	stopFollowing()
	followed.Wait()
	require.NoError(t, err)
	return load, conversions
}

// gentle requires that an operation refuses no connection, counts no delivery, and repeats no finished conversion.
func (s *suite) gentle(t *testing.T, f func(ctx context.Context) error) {
	t.Helper()
	load, conversions := s.during(t, f)
	v := accept(t, load.Verdict())
	require.Empty(t, v.Broken)
	require.Empty(t, v.Refused)
	require.Empty(t, v.Repeated)
	repeated, total := conversions.Repeated()
	t.Logf("%d jobs converted, %d of them more than once", total, len(repeated))
	require.NotZero(t, total)
	require.Empty(t, repeated)
}

// drain evicts all pods of Docmill from the first node. If it is the only one, it accepts the new pods.
func drain(ctx context.Context) error {
	if err := cluster.Settle(ctx, components...); err != nil { // so that the disruption budgets allow evictions
		return err
	}
	nodes, err := cluster.Kubectl(ctx, "get", "nodes", "--output", "jsonpath={.items[*].metadata.name}")
	if err != nil {
		return err
	}
	node := strings.Fields(nodes)[0]
	drained := make(chan error, 1)
	go func() {
		_, err := cluster.Kubectl(ctx, "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=4m",
			"--pod-selector=app.kubernetes.io/name=docmill")
		drained <- err
	}()
	if len(strings.Fields(nodes)) == 1 {
		err = cordonedThenFree(ctx, node)
	}
	err = errors.Join(err, <-drained)
	_, uncordoned := cluster.Kubectl(ctx, "uncordon", node)
	return errors.Join(err, uncordoned)
}

// cordonedThenFree lets the only node accept pods again as soon as the drain has cordoned it.
func cordonedThenFree(ctx context.Context, node string) error {
	for {
		out, err := cluster.Kubectl(ctx, "get", "node", node, "--output", "jsonpath={.spec.unschedulable}")
		if err != nil {
			return err
		}
		if out == "true" {
			_, err := cluster.Kubectl(ctx, "uncordon", node)
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// scaleIn scales the converters out and in again.
func scaleIn(ctx context.Context) error {
	if err := cluster.Scale(ctx, cluster.Converter, 3); err != nil {
		return err
	}
	time.Sleep(10 * time.Second)
	return cluster.Scale(ctx, cluster.Converter, 1)
}

// upgrade rolls the images of another build out, in the documented order, and back.
func (s *suite) upgrade(t *testing.T) {
	tag := os.Getenv("OTHER_TAG")
	if tag == "" {
		t.Skip("OTHER_TAG does not name the tag of another build's images")
	}
	roll := func(ctx context.Context, order []string, tag string) error {
		for _, component := range order {
			image := fmt.Sprintf("%s=docmill/%s:%s", component, component, tag)
			if _, err := cluster.Kubectl(ctx, "set", "image", "deployment/"+cluster.Name+component, image); err != nil {
				return err
			}
			if err := cluster.Settle(ctx, component); err != nil {
				return err
			}
		}
		return nil
	}
	s.gentle(t, func(ctx context.Context) error {
		up := []string{cluster.Status, cluster.Converter, cluster.Gateway}
		if err := roll(ctx, up, tag); err != nil {
			return err
		}
		slices.Reverse(up)
		return roll(ctx, up, "local")
	})
}

// kills ends a pod of each kind, without notice, every 10 s for a minute.
func (s *suite) kills(t *testing.T) {
	load, conversions := s.during(t, func(ctx context.Context) error {
		for range 6 {
			for _, component := range components {
				if err := cluster.Kill(ctx, component); err != nil {
					return err
				}
			}
			time.Sleep(10 * time.Second)
		}
		return cluster.Settle(ctx, components...)
	})
	v := accept(t, load.Verdict())
	repeated, total := conversions.Repeated()
	t.Logf("%d jobs converted, %d of them more than once; %d connections broke with a killed gateway", total, len(repeated), len(v.Broken))
}

// fromZero requires a result within 15 s of a submission that finds no converter. If the cluster scales converters itself,
// it does so; otherwise the test does it at once, so that the rest of the time is measured.
func (s *suite) fromZero(t *testing.T) {
	scaler, _ := cluster.Kubectl(t.Context(), "get", "scaledobject", cluster.Name+cluster.Converter, "--output", "name") // or none
	if scaler == "" {
		require.NoError(t, cluster.Scale(t.Context(), cluster.Converter, 0))
	} else {
		require.NoError(t, cluster.AwaitPods(t.Context(), cluster.Converter, 0))
	}
	load := cluster.NewLoad(s.url, testdata)
	began := time.Now()
	job, err := load.Client.SubmitFile(t.Context(), filepath.Join(testdata, "synth-letter.docx"))
	require.NoError(t, err)
	if scaler == "" {
		_, err = cluster.Kubectl(t.Context(), "scale", "deployment/"+cluster.Name+cluster.Converter, "--replicas=1")
		require.NoError(t, err)
	}
	job, err = load.Client.Wait(t.Context(), job)
	require.NoError(t, err)
	took := time.Since(began)
	t.Logf("first result %.1f s after the submission (scaled by %q)", took.Seconds(), scaler)
	require.Equal(t, client.Status("succeeded"), job.Status)
	require.Less(t, took, 15*time.Second)
	if scaler != "" {
		require.NoError(t, cluster.AwaitPods(t.Context(), cluster.Converter, 0))
		t.Logf("no converter is left %.0f s after the submission", time.Since(began).Seconds())
	}
}

// scaleOut requires that a cluster that scales converters itself adds some while jobs wait, and removes all of them afterwards.
func (s *suite) scaleOut(t *testing.T) {
	if _, err := cluster.Kubectl(t.Context(), "get", "scaledobject", cluster.Name+cluster.Converter); err != nil {
		t.Skip("the cluster does not scale converters itself: ", err)
	}
	load := cluster.NewLoad(s.url, testdata)
	began := time.Now()
	var conversions errgroup.Group
	for _, document := range slices.Repeat(cluster.Documents(), 40) {
		conversions.Go(func() error { return load.Convert(t.Context(), document) })
	}
	most := 0
	converted := make(chan error, 1)
	go func() { converted <- conversions.Wait() }()
	for done := false; !done; {
		select {
		case err := <-converted:
			require.NoError(t, err)
			done = true
		case <-time.After(time.Second):
			pods, err := cluster.Pods(t.Context(), cluster.Converter)
			require.NoError(t, err)
			most = max(most, len(pods))
		}
	}
	t.Logf("at most %d converters for %.0f s", most, time.Since(began).Seconds())
	require.Empty(t, accept(t, load.Verdict()).Repeated)
	require.Greater(t, most, 1)
	require.NoError(t, cluster.AwaitPods(t.Context(), cluster.Converter, 0))
	t.Logf("no converter is left after %.0f s", time.Since(began).Seconds())
}

// quotas compares the throughput of one and of three converters with a small share of a processor each.
func (s *suite) quotas(t *testing.T) {
	const deployment = "deployment/" + cluster.Name + cluster.Converter
	_, err := cluster.Kubectl(t.Context(), "set", "resources", deployment, "--limits=cpu=250m,memory=3Gi", "--requests=cpu=100m,memory=512Mi")
	require.NoError(t, err)
	one, three := s.throughput(t, 1), s.throughput(t, 3)
	t.Logf("one converter: %.2f jobs/s; three: %.2f jobs/s; ratio %.2f", one, three, three/one)
	_, err = cluster.Kubectl(t.Context(), "apply", "--kustomize", overlay)
	require.NoError(t, err)
	require.NoError(t, cluster.Settle(t.Context(), cluster.Converter))
	require.GreaterOrEqual(t, three/one, 2.7)
}

// throughput returns the jobs per second of a number of converters whose queue is never empty.
func (s *suite) throughput(t *testing.T, converters int) float64 {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, cluster.Scale(ctx, cluster.Converter, converters))
	load := cluster.NewLoad(s.url, testdata)
	var jobs []client.Job
	for range 40 + 60*converters {
		job, err := load.Client.SubmitFile(ctx, filepath.Join(testdata, "synth-three-pages.docx"))
		require.NoError(t, err)
		jobs = append(jobs, job)
	}
	var ends []time.Time
	for _, job := range jobs {
		ended, err := load.Client.Wait(ctx, job)
		require.NoError(t, err)
		require.NoError(t, ended.Err())
		ends = append(ends, *ended.FinishedAt)
	}
	slices.SortFunc(ends, time.Time.Compare)
	// Neither the first ones, which are slow, nor the last ones, for which not all converters work, count.
	from, to := 10*converters, len(ends)-5*converters
	return float64(to-from) / ends[to].Sub(ends[from]).Seconds()
}
