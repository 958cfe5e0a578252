package document

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
		for _, f := range Formats() {
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
		for _, f := range table() {
			require.False(t, ids[f.ID], f.ID)
			ids[f.ID] = true
			require.NotEmpty(t, f.Title, f.ID)
			require.NotEmpty(t, f.MediaType, f.ID)
			require.NotEmpty(t, f.Family, f.ID)
			require.Equal(t, f.recognisedOnly, f.Reader == "", f.ID)
			require.Equal(t, f.ID, f.Extensions()[0])
			for _, extension := range f.Extensions() {
				require.False(t, extensions[extension], extension)
				extensions[extension] = true
			}
			if f.mainType != "" {
				require.False(t, mainTypes[f.mainType], f.ID)
				mainTypes[f.mainType] = true
			}
		}
	})

	t.Run("become PDF", func(t *testing.T) {
		t.Parallel()
		for _, f := range Formats() {
			_, ok := f.Target("pdf")
			require.True(t, ok, f.ID)
			_, ok = f.Target("exe")
			require.False(t, ok)
		}
	})

	t.Run("cannot be changed by who lists them", func(t *testing.T) {
		t.Parallel()
		Formats()[0].ID = "changed"
		require.Equal(t, "pptx", Formats()[0].ID)
	})
}

func TestFormatByID(t *testing.T) {
	t.Parallel()

	f, ok := FormatByID("csv")
	require.True(t, ok)
	require.Equal(t, Import{Filter: "Text - txt - csv (StarCalc)", Options: "44,34,76,1"}, f.Import)

	_, ok = FormatByID("epub")
	require.False(t, ok, "it has a name, but is not offered")
	_, ok = FormatByID("")
	require.False(t, ok)
}
