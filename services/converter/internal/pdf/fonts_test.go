package pdf_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/services/converter/internal/pdf"
	"github.com/docmill/docmill/services/converter/internal/pdf/pdftest"
)

func TestFonts(t *testing.T) {
	t.Parallel()
	tools := findTools(t)
	path := filepath.Join(t.TempDir(), "f.pdf")
	require.NoError(t, os.WriteFile(path, pdftest.Pages("9 9"), 0o600))
	found, err := tools.Fonts(t.Context(), path)
	require.NoError(t, err)
	require.Empty(t, found)

	// The offsets are wrong then, which poppler repairs.
	with := strings.Replace(string(pdftest.Pages("9 9", "9 9")), "/MediaBox", "/Resources<</Font<</A<</Type/Font/Subtype/Type1/BaseFont/BAAAAA+Own-Bold>>"+
		"/B<</Type/Font/Subtype/Type1/BaseFont/CAAAAA+Own-Bold>>/C<</Type/Font/Subtype/TrueType/BaseFont/Plain>>>>>>/MediaBox", 1)
	require.NoError(t, os.WriteFile(path, []byte(with), 0o600))
	found, err = tools.Fonts(t.Context(), path)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"Own-Bold", "Plain"}, found)

	require.NoError(t, os.WriteFile(path, []byte("no PDF"), 0o600))
	_, err = tools.Fonts(t.Context(), path)
	require.ErrorIs(t, err, pdf.ErrNotPDF)
}
