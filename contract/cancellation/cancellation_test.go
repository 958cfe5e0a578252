package cancellation_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/cancellation"
)

func TestJobOf(t *testing.T) {
	t.Parallel()
	const id = "0193e4a1-7c00-7abc-8def-0123456789ab"
	job, found := cancellation.JobOf("canceled/" + id + ".12")
	require.True(t, found)
	require.Equal(t, uuid.MustParse(id), job)
	for _, foreign := range []string{
		"", id + ".0", "canceled/", "canceled/" + id, "canceled/" + id + ".", "canceled/" + id + ".txt", "canceled/" + id + ".01", "canceled/notes.0",
	} {
		_, found := cancellation.JobOf(foreign)
		require.False(t, found, foreign)
	}
}
