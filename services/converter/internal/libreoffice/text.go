package libreoffice

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"

	"github.com/docmill/docmill/contract/detect"
)

// byteOrderMark makes the character set of a text certain.
const byteOrderMark = "\uFEFF"

// loadable gives the path of what LibreOffice is to open: the source, or for a plain text a copy in folder whose character
// set it cannot mistake. LibreOfficeKit picks the filter "Text", which takes no options and guesses: it read four words of
// Windows-1252 as Chinese. A document that is to be changed before it is written is copied as well: what it cannot write to,
// LibreOffice opens for reading only. Of any other document there is a link in folder: what it names by a relative address is
// named right in a result that lies beside it.
func loadable(path string, source detect.Result, folder string, changes bool) (string, error) {
	if source.Import.Filter != "Text (encoded)" {
		own := filepath.Join(folder, filepath.Base(path))
		if !changes {
			return own, os.Symlink(path, own)
		}
		if err := transfer(path, own, copyPlain); err != nil {
			return "", fmt.Errorf("copy the document: %w", err)
		}
		return own, nil
	}
	decoders := map[string]*encoding.Decoder{"UTF8": encoding.Nop.NewDecoder(), "MS_1252": charmap.Windows1252.NewDecoder()}
	decoder := decoders[source.Import.Options]
	if decoder == nil { // UTF-16 has its mark already
		return path, nil
	}
	marked := filepath.Join(folder, "source.txt")
	if err := transfer(path, marked, copyMarked(decoder)); err != nil {
		return "", fmt.Errorf("copy the text: %w", err)
	}
	return marked, nil
}

// transfer makes a file of another one.
func transfer(from, to string, copying func(io.Writer, io.Reader) error) (err error) {
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

// copyMarked decodes a text and puts the mark before it, unless it has one.
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
