package detect

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// image refuses an image with too many pixels, by its head. Other data, and an image whose head does not state the
// size, passes; enough is then false.
func (i *inspection) image(head []byte, r io.Reader) (enough bool, err error) {
	decode := imageDecoder(head)
	if decode == nil || i.limits.Pixels <= 0 {
		return true, nil
	}
	size, err := decode(r)
	if err != nil {
		return false, nil //nolint:nilerr // LibreOffice decides what to make of it
	}
	width, height := int64(size.Width), int64(size.Height)
	if width > 0 && height > 0 && width > i.limits.Pixels/height {
		return true, tooComplex("an image of %d by %d pixels", width, height)
	}
	return true, nil
}

func imageDecoder(head []byte) func(io.Reader) (image.Config, error) {
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

// tiffIsHere reports whether the first directory of a TIFF is within data. Its decoder allocates 768 KiB for one that
// claims to be long, before it reads it.
func tiffIsHere(data []byte) bool {
	if len(data) < 8 {
		return false
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if data[0] == 'M' {
		order = binary.BigEndian
	}
	at := int64(order.Uint32(data[4:]))
	return at+2 <= int64(len(data)) && at+2+12*int64(order.Uint16(data[at:])) <= int64(len(data))
}

func isPNG(head []byte) bool  { return bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")) }
func isJPEG(head []byte) bool { return bytes.HasPrefix(head, []byte("\xff\xd8\xff")) }

func isGIF(head []byte) bool {
	return bytes.HasPrefix(head, []byte("GIF87a")) || bytes.HasPrefix(head, []byte("GIF89a"))
}

// isBMP distinguishes a bitmap from a text that begins with "BM": two fields of its header are reserved and zero, and
// the size of the next header is one of a few.
func isBMP(head []byte) bool {
	return len(head) > 18 && bytes.HasPrefix(head, []byte("BM")) && bytes.Equal(head[6:10], make([]byte, 4)) &&
		bytes.IndexByte([]byte{12, 40, 52, 56, 64, 108, 124}, head[14]) >= 0 &&
		bytes.Equal(head[15:18], make([]byte, 3))
}

func isTIFF(head []byte) bool {
	return bytes.HasPrefix(head, []byte("II*\x00")) || bytes.HasPrefix(head, []byte("MM\x00*"))
}

func isWebP(head []byte) bool {
	return len(head) >= 12 && bytes.HasPrefix(head, []byte("RIFF")) && bytes.Equal(head[8:12], []byte("WEBP"))
}

// isMetafile detects the metafiles of Windows: EMF by its first record and its signature, WMF by the key of its
// placeable header or by the fields that are the same in all others (MS-WMF 2.3.2.2: memory or disk, nine words,
// version 1 or 3).
func isMetafile(head []byte) bool { return isEMF(head) || isWMF(head) }

func isEMF(head []byte) bool {
	return len(head) >= 44 && bytes.HasPrefix(head, []byte("\x01\x00\x00\x00")) &&
		bytes.Equal(head[40:44], []byte(" EMF"))
}

func isWMF(head []byte) bool {
	if bytes.HasPrefix(head, []byte("\xd7\xcd\xc6\x9a")) {
		return true
	}
	return len(head) >= 18 && (head[0] == 1 || head[0] == 2) && bytes.Equal(head[1:4], []byte("\x00\x09\x00")) &&
		head[4] == 0 && (head[5] == 1 || head[5] == 3)
}
