//go:build sizing

package acceptance_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/docmill/docmill/client"
	"github.com/docmill/docmill/devstack/daemon"
	"github.com/docmill/docmill/devstack/system"
	"github.com/docmill/docmill/devstack/testbench"
)

// TestSizing measures what docs/operations.md says about memory and disk space: at rest, with the number of queued jobs in the
// variable SIZING, and while a converter with two slots works. It prints a table.
func TestSizing(t *testing.T) {
	t.Parallel()
	queued, err := strconv.Atoi(os.Getenv("SIZING"))
	require.NoError(t, err, "SIZING")
	const converted = 300
	bench := testbench.NewPrivate(t)
	b := setupServices(t, bench, "DOCMILL_SLOTS=2")
	b.ctx = t.Context()
	s := sizing{t: t, bench: bench, processes: append(b.system.Daemons(), bench.Servers.Daemons()...)}
	b.succeed(t, b.submit(t, "synth-three-pages.docx"))
	s.measure("at rest")

	working := s.peak("2 conversions", func() {
		var group errgroup.Group
		group.SetLimit(4)
		for i := range converted {
			c := ordinary()[i%len(ordinary())]
			group.Go(func() error {
				job, err := b.client.SubmitFile(b.ctx, document(c.file), client.WithOptions(c.options))
				if err == nil {
					_, err = b.client.Wait(b.ctx, job)
				}
				if client.IsCode(err, c.code) {
					return nil
				}
				return err
			})
		}
		require.NoError(t, group.Wait())
	})
	s.stages = append(s.stages, working)
	s.measure(fmt.Sprintf("after %d jobs", converted))

	require.NoError(t, b.system.Converter.Stop(b.ctx))
	filling := s.peak(fmt.Sprintf("submission of %d jobs", queued), func() {
		var group errgroup.Group
		group.SetLimit(8)
		for range queued {
			group.Go(func() error {
				_, err := b.client.SubmitFile(b.ctx, document("synth-letter.txt"))
				return err
			})
		}
		require.NoError(t, group.Wait())
	})
	s.stages = append(s.stages, filling)
	s.measure(fmt.Sprintf("%d jobs queued", queued))
	s.print()
}

// sizing are measurements at several stages, each with the same rows.
type sizing struct {
	t         *testing.T
	bench     *testbench.Bench
	processes []*daemon.Daemon
	stages    []stage
}

// stage has the measured numbers, in bytes unless the name says otherwise.
type stage struct {
	name    string
	numbers map[string]int64
}

// measure adds a stage.
func (s *sizing) measure(name string) {
	s.t.Helper()
	numbers := s.memory()
	for what, dir := range map[string]string{"disk RabbitMQ": "rabbitmq/data", "disk PostgreSQL": "postgresql/data", "disk MinIO": "minio/data"} {
		numbers[what] = s.disk(filepath.Join(s.bench.Servers.Dir(), dir))
	}
	config, err := pgx.ParseConfig(s.bench.DatabaseURL)
	require.NoError(s.t, err)
	config.Password = s.bench.DatabasePassword
	connection, err := pgx.ConnectConfig(s.t.Context(), config)
	require.NoError(s.t, err)
	defer connection.Close(s.t.Context())
	var table, indexes, rows, average int64
	require.NoError(s.t, connection.QueryRow(s.t.Context(), `SELECT pg_table_size('jobs'), pg_indexes_size('jobs'), count(*),
		coalesce(avg(pg_column_size(jobs.*))::bigint, 0) FROM jobs`).Scan(&table, &indexes, &rows, &average))
	numbers["table jobs"], numbers["indexes of jobs"], numbers["rows of jobs (number)"], numbers["average row"] = table, indexes, rows, average
	s.stages = append(s.stages, stage{name, numbers})
}

// peak returns the highest memory of each process while work runs.
func (s *sizing) peak(name string, work func()) stage {
	most := map[string]int64{}
	stop := make(chan struct{})
	var sampling sync.WaitGroup
	sampling.Go(func() {
		for {
			for what, n := range s.memory() {
				most[what] = max(most[what], n)
			}
			select {
			case <-stop:
				return
			case <-time.After(250 * time.Millisecond):
			}
		}
	})
	work()
	close(stop)
	sampling.Wait()
	return stage{name, most}
}

// memory returns the proportional set size of each process with its descendants.
func (s *sizing) memory() map[string]int64 {
	numbers := map[string]int64{}
	parents := map[int]int{}
	all, err := procfs.AllProcs()
	if err != nil {
		s.t.Error(err)
	}
	for _, one := range all {
		if stat, err := one.Stat(); err == nil {
			parents[one.PID] = stat.PPID
		}
	}
	for _, one := range all {
		for _, root := range s.processes {
			if descends(parents, one.PID, root.PID()) {
				if rollup, err := one.ProcSMapsRollup(); err == nil {
					numbers["memory "+root.Name()] += int64(rollup.Pss)
				}
			}
		}
	}
	return numbers
}

func descends(parents map[int]int, pid, from int) bool {
	for pid > 1 {
		if pid == from {
			return true
		}
		pid = parents[pid]
	}
	return false
}

// disk returns the size of the files in a directory.
func (s *sizing) disk(dir string) (total int64) {
	require.NoError(s.t, filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil //nolint:nilerr // it was deleted meanwhile
		}
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
		return nil
	}))
	return total
}

func (s *sizing) print() {
	names := []string{}
	for _, one := range []string{system.Gateway, system.Converter, system.Status, "RabbitMQ", "PostgreSQL", "MinIO"} {
		names = append(names, "memory "+one)
	}
	names = append(names, "disk RabbitMQ", "disk PostgreSQL", "disk MinIO", "table jobs", "indexes of jobs", "rows of jobs (number)", "average row")
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, one := range s.stages {
		fmt.Fprintf(table, "\t%s", one.name)
	}
	fmt.Fprint(table, "\t")
	for _, name := range names {
		fmt.Fprintf(table, "\n%s", name)
		for _, one := range s.stages {
			fmt.Fprintf(table, "\t%d", one.numbers[name])
		}
		fmt.Fprint(table, "\t")
	}
	require.NoError(s.t, table.Flush())
	s.t.Log("\n" + text.String())
}
