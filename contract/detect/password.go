package detect

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"  //nolint:gosec // the only one in the formats of Excel 97 to 2003
	"crypto/rc4"  //nolint:gosec // likewise
	"crypto/sha1" //nolint:gosec // likewise
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"hash"
	"strconv"
	"unicode/utf16"
)

// builtInPassword is what Excel encrypts with when a workbook is only protected from changes, and what LibreOffice
// tries by itself with every encrypted Office Open XML package and binary workbook (oox/source/core/filterdetect.cxx
// and sc/source/filter/excel/xicontent.cxx). PowerPoint's, "/01Hannes Ruescher/01", is not tried: LibreOffice does
// not read encrypted binary presentations at all.
const builtInPassword = "VelvetSweatshop"

const (
	// maxSpins bounds the work on a password to 30 to 65 ms. Office takes 50,000 rounds (2007) or 100,000 (since
	// 2010), and so do LibreOffice and Excelize; MS-OFFCRYPTO 2.3.4.10 allows up to 10,000,000. A package that takes
	// more counts as not opened.
	maxSpins = 100_000
	// costPassword is the cost of maxSpins in units of an officefile.Budget.
	costPassword = 5_000_000
	// standardSpins is fixed by MS-OFFCRYPTO 2.3.4.7.
	standardSpins = 50_000
	// maxEncryptionInfo is enough for any EncryptionInfo; Office's own have 1.1 KiB.
	maxEncryptionInfo = 4 << 10
	// maxWorkbookHead is enough to find the record of a password.
	maxWorkbookHead = 4 << 10
)

// opensPackage reports whether a password opens an encrypted package, by the verifier of its stream EncryptionInfo
// (MS-OFFCRYPTO 2.3.4). What it does not understand does not open.
func opensPackage(info []byte, password string) bool {
	if len(info) < 8 {
		return false
	}
	major, minor := binary.LittleEndian.Uint16(info), binary.LittleEndian.Uint16(info[2:])
	switch {
	case major == 4 && minor == 4:
		return opensAgile(info[8:], password)
	case major >= 2 && major <= 4 && minor == 2:
		v, ok := verifierAt(info[8:])
		return ok && v.opensStandard(password)
	default:
		return false
	}
}

// opensAgile follows MS-OFFCRYPTO 2.3.4.11 to 2.3.4.13. Only the first key of a password is tried.
func opensAgile(description []byte, password string) bool {
	var found bool
	_ = elements(bytes.NewReader(description), func(e xml.StartElement) bool {
		if e.Name.Local != "encryptedKey" || attribute(e, "spinCount") == "" {
			return true
		}
		found = opensKey(e, password)
		return false
	})
	return found
}

var hashes = map[string]func() hash.Hash{
	"SHA1": sha1.New, "SHA-1": sha1.New, "SHA256": sha256.New, "SHA384": sha512.New384, "SHA512": sha512.New,
}

func opensKey(e xml.StartElement, password string) bool {
	newHash := hashes[attribute(e, "hashAlgorithm")]
	spins := numberOf(e, "spinCount", maxSpins)
	keySize := numberOf(e, "keyBits", 256) / 8
	hashSize := numberOf(e, "hashSize", sha512.Size)
	salt := bytesOf(e, "saltValue")
	input, value := bytesOf(e, "encryptedVerifierHashInput"), bytesOf(e, "encryptedVerifierHashValue")
	if newHash == nil || spins < 0 || hashSize < 1 || attribute(e, "cipherAlgorithm") != "AES" ||
		attribute(e, "cipherChaining") != "ChainingModeCBC" {
		return false
	}
	// The block keys are fixed by 2.3.4.13.
	spun := spin(newHash(), salt, password, spins)
	plainInput := decryptAgile(newHash(), spun, []byte("\xfe\xa7\xd2\x76\x3b\x4b\x9e\x79"), keySize, salt, input)
	plainValue := decryptAgile(newHash(), spun, []byte("\xd7\xaa\x0f\x6d\x30\x61\x34\x4e"), keySize, salt, value)
	if plainInput == nil || len(plainValue) < hashSize {
		return false
	}
	h := newHash()
	h.Write(plainInput)
	sum := h.Sum(nil)
	return hashSize <= len(sum) && bytes.Equal(sum[:hashSize], plainValue[:hashSize])
}

// numberOf returns a number of at most limit, or -1.
func numberOf(e xml.StartElement, name string, limit int) int {
	n, err := strconv.Atoi(attribute(e, name))
	if err != nil || n < 0 || n > limit {
		return -1
	}
	return n
}

func bytesOf(e xml.StartElement, name string) []byte {
	decoded, _ := base64.StdEncoding.DecodeString(attribute(e, name))
	return decoded
}

// decryptAgile decrypts with a key made from a spun password. It returns nil if that is impossible.
func decryptAgile(h hash.Hash, spun, blockKey []byte, keySize int, salt, encrypted []byte) []byte {
	h.Write(spun)
	h.Write(blockKey)
	key, iv := fit(h.Sum(nil), keySize), fit(salt, aes.BlockSize)
	block, err := aes.NewCipher(key)
	if err != nil || len(encrypted) == 0 || len(encrypted)%aes.BlockSize != 0 {
		return nil
	}
	decrypted := make([]byte, len(encrypted))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(decrypted, encrypted)
	return decrypted
}

// fit cuts a value to size or pads it with 0x36.
func fit(value []byte, size int) []byte {
	if size < 0 {
		return nil
	}
	fitted := bytes.Repeat([]byte{0x36}, size)
	copy(fitted, value)
	return fitted
}

// spin hashes a salted password, and then repeatedly a number with the last hash.
func spin(h hash.Hash, salt []byte, password string, spins int) []byte {
	h.Write(salt)
	h.Write(utf16Of(password))
	sum := h.Sum(nil)
	var number [4]byte
	for i := range spins {
		binary.LittleEndian.PutUint32(number[:], uint32(i))
		h.Reset()
		h.Write(number[:])
		h.Write(sum)
		sum = h.Sum(sum[:0])
	}
	return sum
}

func utf16Of(password string) []byte {
	units := utf16.Encode([]rune(password))
	encoded := make([]byte, 0, 2*len(units))
	for _, unit := range units {
		encoded = binary.LittleEndian.AppendUint16(encoded, unit)
	}
	return encoded
}

// verifier is a header and verifier of the CryptoAPI: MS-OFFCRYPTO 2.3.2 and 2.3.3.
type verifier struct {
	keySize           int // in bytes
	salt, input, hash []byte
}

// verifierAt reads the length of a header, the header, and the verifier after it.
func verifierAt(data []byte) (verifier, bool) {
	const header, keyBits, saltSize, limit = 4, 16, 16, 1 << 10
	if len(data) < header+keyBits+4 {
		return verifier{}, false
	}
	size := int64(binary.LittleEndian.Uint32(data))
	bits := binary.LittleEndian.Uint32(data[header+keyBits:])
	if size > limit || int64(len(data)) < header+size+4+saltSize+16+4+sha1.Size {
		return verifier{}, false
	}
	rest := data[header+size:]
	if binary.LittleEndian.Uint32(rest) != saltSize {
		return verifier{}, false
	}
	return verifier{keySize: int(min(bits, 256) / 8), salt: rest[4:20], input: rest[20:36], hash: rest[40:]}, true
}

// opensStandard follows MS-OFFCRYPTO 2.3.4.7 to 2.3.4.9: AES in separate blocks, and SHA-1.
func (v verifier) opensStandard(password string) bool {
	block, err := aes.NewCipher(v.standardKey(password))
	if err != nil || len(v.hash) < 2*aes.BlockSize {
		return false
	}
	input, sum := make([]byte, aes.BlockSize), make([]byte, 2*aes.BlockSize)
	block.Decrypt(input, v.input)
	block.Decrypt(sum, v.hash)
	block.Decrypt(sum[aes.BlockSize:], v.hash[aes.BlockSize:])
	want := sha1.Sum(input) //nolint:gosec // the format's
	return bytes.Equal(want[:], sum[:sha1.Size])
}

func (v verifier) standardKey(password string) []byte {
	h := sha1.New() //nolint:gosec // the format's
	spun := spin(h, v.salt, password, standardSpins)
	h.Reset()
	h.Write(spun)
	h.Write(make([]byte, 4))
	last := h.Sum(nil)
	var key []byte
	for _, pad := range []byte{0x36, 0x5c} {
		derived := bytes.Repeat([]byte{pad}, sha1.BlockSize)
		for i, b := range last {
			derived[i] ^= b
		}
		sum := sha1.Sum(derived) //nolint:gosec // the format's
		key = append(key, sum[:]...)
	}
	return key[:min(v.keySize, len(key))]
}

// opensRC4 follows MS-OFFCRYPTO 2.3.5.2 and 2.3.5.6.
func (v verifier) opensRC4(password string) bool {
	h := sha1.New() //nolint:gosec // the format's
	base := spin(h, v.salt, password, 0)
	h.Reset()
	h.Write(base)
	h.Write(make([]byte, 4)) // the number of the block
	size := v.keySize
	if size == 0 {
		size = 5 // 2.3.2: 0 is 40 bits
	}
	key := h.Sum(nil)[:min(size, sha1.Size)]
	if size == 5 {
		key = append(key[:5:5], make([]byte, 11)...)
	}
	stream, err := rc4.NewCipher(key) //nolint:gosec // the format's
	if err != nil {
		return false
	}
	return sameDigest(stream, sha1.New(), v.input, v.hash[:sha1.Size]) //nolint:gosec // the format's
}

// sameDigest reports whether the digest of an encrypted input is the one that is encrypted behind it.
func sameDigest(stream *rc4.Cipher, h hash.Hash, input, digest []byte) bool {
	plainInput, plainDigest := make([]byte, len(input)), make([]byte, len(digest))
	stream.XORKeyStream(plainInput, input)
	stream.XORKeyStream(plainDigest, digest)
	h.Write(plainInput)
	return bytes.Equal(h.Sum(nil), plainDigest)
}

// opensWorkbook reports whether a password opens a binary workbook, by the body of its record FILEPASS (MS-XLS
// 2.4.117; before Excel 97 it is always the XOR obfuscation).
func opensWorkbook(filePass []byte, excel97 bool, password string) bool {
	const xor, simple = 0, 1
	number := func(i int) uint16 { return binary.LittleEndian.Uint16(filePass[2*i:]) }
	switch {
	case !excel97 && len(filePass) >= 4:
		return number(1) == xorVerifier(password)
	case len(filePass) >= 6 && number(0) == xor:
		return number(2) == xorVerifier(password)
	case len(filePass) >= 6+48 && number(1) == simple && number(2) == simple:
		return opensSimple(filePass[6:22], filePass[22:38], filePass[38:54], password)
	case len(filePass) >= 10 && number(1) >= 2 && number(1) <= 4 && number(2) == 2:
		v, ok := verifierAt(filePass[10:])
		return ok && v.opensRC4(password)
	default:
		return false
	}
}

// xorVerifier is the hash of MS-OFFCRYPTO 2.3.7.1.
func xorVerifier(password string) uint16 {
	var v uint16
	for i := len(password); i >= 0; i-- {
		b := byte(len(password))
		if i > 0 {
			b = password[i-1]
		}
		v = v>>14&1 | v<<1&0x7fff
		v ^= uint16(b)
	}
	return v ^ 0xce4b
}

// opensSimple follows MS-OFFCRYPTO 2.3.6: RC4 with 40 bits of MD5.
func opensSimple(salt, input, digest []byte, password string) bool {
	const bits40 = 5
	base := md5.Sum(utf16Of(password)) //nolint:gosec // the format's
	h := md5.New()                     //nolint:gosec // the format's
	for range 16 {
		h.Write(base[:bits40])
		h.Write(salt)
	}
	spun := h.Sum(nil)[:bits40]
	key := md5.Sum(append(spun, 0, 0, 0, 0))                          //nolint:gosec // the format's; block 0
	stream, err := rc4.NewCipher(key[:])                              //nolint:gosec // the format's
	return err == nil && sameDigest(stream, md5.New(), input, digest) //nolint:gosec // the format's
}
