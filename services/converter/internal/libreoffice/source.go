package libreoffice

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
)

// byteOrderMark makes the character set of a text unambiguous.
const byteOrderMark = "\uFEFF"

// decoders decode the character sets that plain texts are detected to have. UTF-16 needs none: it has a byte order
// mark.
var decoders = map[string]encoding.Encoding{"UTF8": encoding.Nop, "MS_1252": charmap.Windows1252}

// placeSource puts the document into directory, where LibreOffice is to open it, and returns its path.
//
// A plain text is copied in a form whose character set LibreOffice cannot mistake: LibreOfficeKit picks the filter
// "Text", which takes no options and guesses; it read four words of Windows-1252 as Chinese. A document that is changed
// before it is written is copied as well, because LibreOffice opens what it cannot write to as read-only. Any other
// document is a link: relative addresses in it then stay correct in a result that lies beside it. Parts that are
// laid out better in another form are replaced in a copy.
func placeSource(path string, source input, directory string, changes bool) (string, error) {
	if source.Import.Filter == "Text (encoded)" {
		return placeText(path, source.Import.Options, directory)
	}
	own := filepath.Join(directory, filepath.Base(path))
	if changed := source.layout.changed; len(changed) > 0 && replaceParts(path, own, changed) == nil {
		return own, nil // otherwise LibreOffice decides whether the document is damaged
	}
	if !changes {
		return own, os.Symlink(path, own)
	}
	if err := rewriteTo(path, own, copyPlain); err != nil {
		return "", fmt.Errorf("copy the document: %w", err)
	}
	return own, nil
}

// placeText copies a plain text in a character set to directory, with a byte order mark.
func placeText(path, characterSet, directory string) (string, error) {
	charset, known := decoders[characterSet]
	if !known {
		return path, nil
	}
	marked := filepath.Join(directory, "source.txt")
	if err := rewriteTo(path, marked, copyMarked(charset.NewDecoder())); err != nil {
		return "", fmt.Errorf("copy the text: %w", err)
	}
	return marked, nil
}

// rewriteTo creates a file from another one.
func rewriteTo(from, to string, copying func(io.Writer, io.Reader) error) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closing := out.Close(); err == nil {
			err = closing
		}
	}()
	return copying(out, in)
}

func copyPlain(out io.Writer, in io.Reader) error {
	_, err := io.Copy(out, in)
	return err
}

// copyMarked decodes a text and writes the byte order mark before it, unless it has one.
func copyMarked(decoder *encoding.Decoder) func(io.Writer, io.Reader) error {
	return func(out io.Writer, in io.Reader) error {
		text := bufio.NewReader(decoder.Reader(in))
		if head, _ := text.Peek(len(byteOrderMark)); string(head) != byteOrderMark {
			if _, err := io.WriteString(out, byteOrderMark); err != nil {
				return err
			}
		}
		return copyPlain(out, text)
	}
}
