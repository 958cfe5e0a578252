package format

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTargets(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"pptm": "pdf pptx ppt odp png jpeg webp svg thumbnail",
		"txt":  "pdf docx doc odt rtf txt html png jpeg webp svg thumbnail",
		"xls":  "pdf xlsx ods csv png jpeg webp svg thumbnail",
		"vsdx": "pdf odg png jpeg webp svg thumbnail",
	} {
		format, found := ByID(id)
		require.True(t, found)
		var ids []string
		for target := range format.Targets() {
			ids = append(ids, target.ID)
			require.NotEmpty(t, target.Title, target.ID)
			require.NotEmpty(t, target.MediaType, target.ID)
			extension, known := ResultExtension(target.MediaType)
			require.True(t, known, target.ID)
			require.Equal(t, target.Extension, extension)
		}
		require.Equal(t, strings.Fields(want), ids, id)
	}
}

// TestAllTargets checks that no target is missing or listed twice.
func TestAllTargets(t *testing.T) {
	t.Parallel()
	all := map[string]Target{}
	for target := range AllTargets() {
		require.NotContains(t, all, target.ID)
		all[target.ID] = target
	}
	for f := range All() {
		for target := range f.Targets() {
			require.Equal(t, target, all[target.ID], f.ID)
		}
	}
}

func TestNoFormatHasNoTargets(t *testing.T) {
	t.Parallel()
	require.Empty(t, slices.Collect(Format{}.Targets()))
	_, found := Format{}.Target("pdf")
	require.False(t, found)
}

func TestResultExtension(t *testing.T) {
	t.Parallel()
	for mediaType, want := range map[string]string{
		"application/zip": "zip", "image/jpeg": "jpg", "text/csv": "csv", "text/html; charset=utf-8": "html", "application/pdf": "pdf",
		"application/x-of-tomorrow": "", "": "", ";": "",
	} {
		extension, known := ResultExtension(mediaType)
		require.Equal(t, want, extension, mediaType)
		require.Equal(t, want != "", known)
	}
}
