package document

import (
	"bytes"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// picture refuses a picture of too many pixels, by its head. What is no picture, or one that its head does not tell the size
// of, passes.
func (i *inspection) picture(head []byte, r io.Reader) error {
	decode := pictureDecoder(head)
	if decode == nil || i.limits.Pixels <= 0 {
		return nil
	}
	size, err := decode(r)
	if err != nil {
		return nil //nolint:nilerr // LibreOffice decides what to make of it
	}
	width, height := int64(size.Width), int64(size.Height)
	if width > 0 && height > 0 && width > i.limits.Pixels/height {
		return tooComplex("a picture of %d by %d pixels", width, height)
	}
	return nil
}

func pictureDecoder(head []byte) func(io.Reader) (image.Config, error) {
	switch {
	case isPNG(head):
		return png.DecodeConfig
	case isJPEG(head):
		return jpeg.DecodeConfig
	case isGIF(head):
		return gif.DecodeConfig
	case isBMP(head):
		return bmp.DecodeConfig
	case isTIFF(head):
		return tiff.DecodeConfig
	case isWebP(head):
		return webp.DecodeConfig
	default:
		return nil
	}
}

func isPNG(head []byte) bool  { return bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")) }
func isJPEG(head []byte) bool { return bytes.HasPrefix(head, []byte("\xff\xd8\xff")) }

func isGIF(head []byte) bool {
	return bytes.HasPrefix(head, []byte("GIF87a")) || bytes.HasPrefix(head, []byte("GIF89a"))
}

// isBMP tells a bitmap from a text that begins with "BM": two fields of its header are reserved and zero, and the size
// of the next header is one of a few.
func isBMP(head []byte) bool {
	return len(head) > 18 && bytes.HasPrefix(head, []byte("BM")) && bytes.Equal(head[6:10], make([]byte, 4)) &&
		bytes.IndexByte([]byte{12, 40, 52, 56, 64, 108, 124}, head[14]) >= 0 && bytes.Equal(head[15:18], make([]byte, 3))
}

func isTIFF(head []byte) bool {
	return bytes.HasPrefix(head, []byte("II*\x00")) || bytes.HasPrefix(head, []byte("MM\x00*"))
}

func isWebP(head []byte) bool {
	return len(head) >= 12 && bytes.HasPrefix(head, []byte("RIFF")) && bytes.Equal(head[8:12], []byte("WEBP"))
}

// isMetafile tells a metafile of Windows: EMF by its first record and its signature, WMF by the key of its placeable
// header or by the fields that all others have alike (MS-WMF 2.3.2.2: memory or disk, nine words, version 1 or 3).
func isMetafile(head []byte) bool { return isEMF(head) || isWMF(head) }

func isEMF(head []byte) bool {
	return len(head) >= 44 && bytes.HasPrefix(head, []byte("\x01\x00\x00\x00")) && bytes.Equal(head[40:44], []byte(" EMF"))
}

func isWMF(head []byte) bool {
	if bytes.HasPrefix(head, []byte("\xd7\xcd\xc6\x9a")) {
		return true
	}
	return len(head) >= 18 && (head[0] == 1 || head[0] == 2) && bytes.Equal(head[1:4], []byte("\x00\x09\x00")) &&
		head[4] == 0 && (head[5] == 1 || head[5] == 3)
}
