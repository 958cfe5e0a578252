package forkserver

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"

	"github.com/docmill/docmill/platform/document"
)

// byteOrderMark makes the character set of a text certain.
const byteOrderMark = "\uFEFF"

// loadable gives the path of what LibreOffice is to open: the source, or for a plain text a copy in folder whose character
// set it cannot mistake. LibreOfficeKit picks the filter "Text", which takes no options and guesses: it read four words of
// Windows-1252 as Chinese.
func loadable(path string, source document.Recognition, folder string) (string, error) {
	if source.Import.Filter != "Text (encoded)" {
		return path, nil
	}
	decoders := map[string]*encoding.Decoder{"UTF8": encoding.Nop.NewDecoder(), "MS_1252": charmap.Windows1252.NewDecoder()}
	decoder := decoders[source.Import.Options]
	if decoder == nil { // UTF-16 has its mark already
		return path, nil
	}
	marked := filepath.Join(folder, "source.txt")
	if err := mark(path, marked, decoder); err != nil {
		return "", fmt.Errorf("copy the text: %w", err)
	}
	return marked, nil
}

func mark(from, to string, decoder *encoding.Decoder) (err error) {
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
	text := bufio.NewReader(decoder.Reader(in))
	if head, _ := text.Peek(len(byteOrderMark)); string(head) != byteOrderMark {
		if _, err := io.WriteString(out, byteOrderMark); err != nil {
			return err
		}
	}
	_, err = io.Copy(out, text)
	return err
}
