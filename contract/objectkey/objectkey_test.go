package objectkey_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/objectkey"
)

func TestForms(t *testing.T) {
	t.Parallel()
	const id = "0193e4a1-7c00-7abc-8def-0123456789ab"
	require.True(t, objectkey.IsDocument(id))
	job, found := objectkey.JobOfResult(id + "/1.pdf")
	require.True(t, found)
	require.Equal(t, uuid.MustParse(id), job)
	for _, foreign := range []string{
		"", "notes.txt", "d41d8cd98f00b204e9800998ecf8427e", "0193E4A1-7C00-7ABC-8DEF-0123456789AB", id + ".bak", "urn:uuid:" + id, "claims/" + id,
	} {
		require.False(t, objectkey.IsDocument(foreign), foreign)
		_, found := objectkey.JobOfResult(foreign + "/1.pdf")
		require.False(t, found, foreign)
	}
	for _, foreign := range []string{id, id + "/"} {
		_, found := objectkey.JobOfResult(foreign)
		require.False(t, found, foreign)
	}
}
