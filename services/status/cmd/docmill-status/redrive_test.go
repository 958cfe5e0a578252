package main

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/devstack/testbench"
	"github.com/docmill/docmill/platform/config"
)

func TestMain(m *testing.M) { testbench.Main(m) }

// TestRedriveCommand requires that the command works with the environment of the service.
func TestRedriveCommand(t *testing.T) {
	t.Parallel()
	bench := testbench.New(t)
	environ := slices.Concat(bench.BrokerEnv(), bench.DatabaseEnv(), []string{"DOCMILL_JOB_DEADLINE=12h"})
	for _, c := range []struct {
		args []string
		code int
		out  string
	}{
		{nil, 0, "moved 0 of 0 messages from dead-events to events\n"},
		{[]string{"--commands"}, 0, "moved 0 of 0 messages from dead-commands to returned\n"},
		{[]string{"--dry-run", "--limit=7"}, 0, "would move 0 of 0 messages from dead-events to events\n"},
		{[]string{"--limit=-1"}, 2, ""},
		{[]string{"--unknown"}, 2, ""},
	} {
		var out bytes.Buffer
		require.Equal(t, c.code, run(config.Source{Args: append([]string{"redrive"}, c.args...), Environ: environ, Stdout: &out}), "%v", c.args)
		require.Equal(t, c.out, out.String())
	}
}
