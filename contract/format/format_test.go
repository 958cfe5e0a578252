package format

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFormats(t *testing.T) {
	t.Parallel()

	t.Run("are those that are promised", func(t *testing.T) {
		t.Parallel()
		var ids []string
		for f := range All() {
			ids = append(ids, f.ID)
		}
		require.ElementsMatch(t, strings.Fields("pptx ppt odp pps ppsx potx pptm ppsm potm pot otp fodp key "+
			"docx doc odt fodt rtf txt html docm dotx dotm dot ott pages wpd wps "+
			"xlsx xls ods csv xltx xlsb xlsm xltm xlt ots fods numbers "+
			"odg otg fodg vsdx vsdm vsd vdx pub png jpeg tiff gif bmp webp svg emf wmf"), ids)
	})

	t.Run("are each complete and have one meaning", func(t *testing.T) {
		t.Parallel()
		ids, mainTypes, extensions := map[string]bool{}, map[string]bool{}, map[string]bool{}
		for _, f := range table {
			require.False(t, ids[f.ID], f.ID)
			ids[f.ID] = true
			require.NotEmpty(t, f.Title, f.ID)
			require.NotEmpty(t, f.MediaType, f.ID)
			require.NotEmpty(t, f.Family, f.ID)
			require.Equal(t, f.DetectOnly, f.ImportFilter == "", f.ID)
			require.Equal(t, f.ID, f.Extensions()[0])
			for _, extension := range f.Extensions() {
				require.False(t, extensions[extension], extension)
				extensions[extension] = true
			}
			if f.MainType != "" {
				require.False(t, mainTypes[f.MainType], f.ID)
				mainTypes[f.MainType] = true
			}
		}
	})

	t.Run("become PDF", func(t *testing.T) {
		t.Parallel()
		for f := range All() {
			_, ok := f.Target("pdf")
			require.True(t, ok, f.ID)
			_, ok = f.Target("exe")
			require.False(t, ok)
		}
	})
}

func TestByID(t *testing.T) {
	t.Parallel()

	f, ok := ByID("csv")
	require.True(t, ok)
	require.Equal(t, Import{Filter: "Text - txt - csv (StarCalc)", Options: "44,34,76,1"}, f.Import)

	_, ok = ByID("epub")
	require.False(t, ok, "it is detected, but not converted")
	_, ok = ByID("")
	require.False(t, ok)
}

// TestLookupsDoNotAllocate is not parallel because it counts what all of the process allocates.
func TestLookupsDoNotAllocate(t *testing.T) {
	allocated := testing.AllocsPerRun(100, func() {
		for f := range All() {
			_, _ = f.Target("pdf")
		}
		_, _ = ByExtension("docx")
		_, _ = ResultExtension("text/html; charset=utf-8")
	})
	require.Zero(t, allocated)
}
