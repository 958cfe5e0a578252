package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/services/status/job"
	"github.com/docmill/docmill/services/status/jobstore"
	"github.com/docmill/docmill/services/status/postgres"
	"github.com/docmill/docmill/services/status/postgres/postgrestest"
)

// failing makes the database fail for the rows of a condition, with an error that is not known to be about the data.
const failing = `
	CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '54000'; END $$;
	CREATE OR REPLACE TRIGGER fail BEFORE UPDATE ON jobs FOR EACH ROW WHEN (`

// TestPoisonIsRefused requires that an event that fails alone does not block the others forever.
func TestPoisonIsRefused(t *testing.T) {
	t.Parallel()
	settings := postgrestest.Config(testbench.New(t))
	store := postgrestest.Open(t, settings)
	_, err := postgrestest.Connect(t, settings).Exec(t.Context(), failing+`NEW.source_filename = 'poison') EXECUTE FUNCTION fail()`)
	require.NoError(t, err)
	first, last, poison := newID(t), newID(t), newID(t)
	batch := []job.Event{submitted(first), named(poison, "poison"), submitted(last)}
	for range 3 {
		_, err = store.Apply(t.Context(), batch)
		require.ErrorContains(t, err, "planted", "it may pass")
	}
	outcomes, err := store.Apply(t.Context(), batch)
	require.NoError(t, err)
	require.Equal(t, []bool{true, false, true}, []bool{outcomes[0].Changed, outcomes[1].Changed, outcomes[2].Changed})
	require.ErrorIs(t, outcomes[1].Refused, jobstore.ErrRefused)
	require.NoError(t, store.Check(t.Context()))
}

// TestNothingIsRefusedWhileNothingCanBeWritten requires that a database that fails for every event refuses none, and is not
// ready until it takes events again.
func TestNothingIsRefusedWhileNothingCanBeWritten(t *testing.T) {
	t.Parallel()
	settings := postgrestest.Config(testbench.New(t))
	store := postgrestest.Open(t, settings)
	database := postgrestest.Connect(t, settings)
	_, err := database.Exec(t.Context(), failing+`true) EXECUTE FUNCTION fail()`)
	require.NoError(t, err)
	require.NoError(t, store.Check(t.Context()), "nothing has failed yet")
	id := newID(t)
	for range 6 {
		_, err = store.Apply(t.Context(), []job.Event{submitted(id)})
		require.ErrorContains(t, err, "planted")
		require.NotErrorIs(t, err, jobstore.ErrRefused)
		require.Error(t, store.Check(t.Context()), "the database answers, but takes no events")
	}
	_, err = database.Exec(t.Context(), "DROP TRIGGER fail ON jobs")
	require.NoError(t, err)
	require.NoError(t, store.Check(t.Context()))
	outcomes, err := store.Apply(t.Context(), []job.Event{submitted(id)})
	require.NoError(t, err)
	require.True(t, outcomes[0].Changed)
	var rows int
	require.NoError(t, database.QueryRow(t.Context(), "SELECT count(*) FROM jobs").Scan(&rows))
	require.Equal(t, 1, rows, "a rehearsal leaves nothing")
}

// TestCheckDoesNotWaitForTheWatermark requires that the check of a replica succeeds while another one has locked the watermark.
func TestCheckDoesNotWaitForTheWatermark(t *testing.T) {
	t.Parallel()
	settings := postgrestest.Config(testbench.New(t))
	store := postgrestest.Open(t, settings)
	lock, err := postgrestest.Connect(t, settings).Begin(t.Context())
	require.NoError(t, err)
	_, err = lock.Exec(t.Context(), "UPDATE watermark SET applied_until = now()")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // less than the timeout of an idle transaction
	defer cancel()
	require.NoError(t, store.Check(ctx))
	require.NoError(t, lock.Rollback(t.Context()))
}

// TestRetryIsOverForOlderReplicas has a replica of an earlier version, which does not know the column of the retry and updates
// only the others.
func TestRetryIsOverForOlderReplicas(t *testing.T) {
	t.Parallel()
	settings := postgrestest.Config(testbench.New(t))
	store, database, id := postgrestest.Open(t, settings), postgrestest.Connect(t, settings), newID(t)
	failure := job.Failure{Code: "store-unavailable", Detail: "d", Retryable: true}
	_, err := store.Apply(t.Context(), []job.Event{submitted(id), job.AttemptUpdated{
		ID: job.ID(id), Attempt: 1, At: time.Unix(1_000_000_000, 0), Status: job.Queued, Retry: &job.Retry{Failure: failure, NextAttemptAt: time.Unix(1_000_000_010, 0)},
	}})
	require.NoError(t, err)
	found, err := store.Job(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, failure, found.Retry.Failure)
	_, err = database.Exec(t.Context(), "UPDATE jobs SET attempt = 2, moved_at = moved_at + interval '1 minute' WHERE id = $1", id)
	require.NoError(t, err)
	found, err = store.Job(t.Context(), id)
	require.NoError(t, err)
	require.Nil(t, found.Retry, "the failure of an earlier attempt")
}

func named(id uuid.UUID, filename string) job.Event {
	event := submitted(id).(job.Submitted)
	event.Submission.Filename = filename
	return event
}

func TestHostsAreChosenByWhetherTheyCanBeWritten(t *testing.T) { //nolint:paralleltest // it sets the environment
	t.Setenv("PGTARGETSESSIONATTRS", "")
	for url, want := range map[string]bool{
		"postgres://docmill@127.0.0.1/docmill":                                          false,
		"postgres://docmill@127.0.0.1/docmill?sslmode=prefer":                           false,
		"postgres://docmill@127.0.0.1,127.0.0.2/docmill":                                true,
		"postgres://docmill@127.0.0.1:5432,127.0.0.1:5433/docmill?sslmode=disable":      true,
		"postgres://docmill@127.0.0.1,127.0.0.2/docmill?target_session_attrs=any":       false,
		"postgres://docmill@127.0.0.1,127.0.0.2/docmill?target_session_attrs=read-only": true,
	} {
		got, err := postgres.ChoosesWritable(postgres.Config{URL: url, Connections: 2})
		require.NoError(t, err)
		require.Equal(t, want, got, url)
	}
}
