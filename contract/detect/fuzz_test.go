package detect

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/docmill/docmill/contract/format"
	"github.com/docmill/docmill/contract/internal/officetest"
)

// seed returns small documents of all kinds: real ones of 10 KB and more keep the fuzzer busy with making them smaller.
func seed(f *testing.F) {
	f.Helper()
	f.Add(compoundOf(stream{Name: "WordDocument", Data: "…"}, stream{Name: "Workbook", Nested: true}), "text.doc")
	f.Add(compoundOf(stream{Name: "Workbook", Data: "\x09\x08\x00\x00\x2f\x00\x00\x00"}), "sheet.xls")
	f.Add(loopingCompound(), "text.doc")
	f.Add(packageOf(f, "ppsx"), "deck.ppsx")
	f.Add(openDocument(f, format.OpenDocument+"text", plainManifest), "text.odt")
	f.Add(flat(format.OpenDocument+"text"), "text.fodt")
	f.Add([]byte("a;b\n\xe4;1\n"), "values.csv")
	f.Add([]byte("\xff\xfea\x00;\x00"), "values.csv")
	f.Add(sample(f, "synth-png-named.pptx"), "deck.pptx")
	f.Add([]byte(`{\rtf1}`), "text.rtf")
	f.Add(compoundOf(stream{Name: "EncryptionInfo", Data: "\x04\x00\x04\x00\x40\x00\x00\x00" +
		`<e><encryptedKey spinCount="9" hashSize="20" keyBits="128" cipherAlgorithm="AES" cipherChaining="ChainingModeCBC" ` +
		`hashAlgorithm="SHA1" saltValue="YQ==" encryptedVerifierHashInput="YQ==" encryptedVerifierHashValue="YQ=="/></e>`},
		stream{Name: "EncryptedPackage"}), "table.xlsx")
	f.Add(deckOf(f, part{"a.xml", `<!DOCTYPE a [<!ENTITY a "a"><!ENTITY b '&a;'>]><a>&b;</a>`}), "deck.pptx")
	f.Add([]byte("\xffWPC\x10\x00\x00\x00\x01\x0a\x02\x01"), "text.wpd")
	f.Add(compoundOf(stream{Name: "MN0"}), "text.wps")
	f.Add([]byte(illustrator), "image.svg")
	f.Add([]byte("<!DOCTYPE html><html><body>Hello</body></html>"), "page.htm")
	f.Add(zipOf(f, part{"Index/Document.iwa", iwa("\x90\x4e")}), "text.pages")
	f.Add(append([]byte("PK\x03\x04"), officetest.Zip64(1<<40, 102)...), "deck.pptx")
	f.Add(officetest.RawZip(20, officetest.Entry{Name: "a.zip", Method: 8, Packed: officetest.Blocks(200, true), Size: 9000}), "")
	f.Add(deckOf(f, part{"a.xml", `<!DOCTYPE a [<!-- ] --><!ENTITY % a "]>&#x26;b;"><?a ]?><!ENTITY b '&#38;a;'>]><a/>`}), "deck.pptx")
	f.Add([]byte("<?xml version='1.0'?><!-- a --><!DOCTYPE a SYSTEM '>' [<!ENTITY a SYSTEM \"b\">]><a>&a;</a>"), "image.svg")
	f.Add(deckOf(f, nest(f, 2, part{"image", webpOf(100, 100)})), "deck.pptx")
}

// FuzzDetect looks for panics, for reading without end, and for documents that their first bytes refuse although they
// are fine as a whole.
func FuzzDetect(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte, filename string) {
		got, err := examine(t, data, filename)
		if err != nil {
			var refusal *Refusal
			require.ErrorAs(t, err, &refusal, "memory can always be read")
			require.NotEmpty(t, refusal.Error())
			return
		}
		require.NotEmpty(t, slices.Collect(got.Format.Targets()))
		require.NoError(t, DetectPrefix(t.Context(), data[:min(len(data), PrefixSize)], filename))
	})
}
