package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"
)

// Size is a number of bytes, such as "512MiB", "5MB" or "1048576".
type Size int64

// UnmarshalText parses a size with an optional unit.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := humanize.ParseBytes(string(text))
	if err != nil || n > 1<<62 {
		return fmt.Errorf("invalid size %q: write a number with an optional unit, such as 512MiB", text)
	}
	*s = Size(n)
	return nil
}

// String formats the size with a unit, such as "512 MiB".
func (s Size) String() string { return humanize.IBytes(uint64(max(s, 0))) }

// Secret is a password or key. It does not appear in logs or help: only Reveal returns the value. The name of its flag
// must end in "-file", because the command line, which every user of the machine can read, contains only the name of a
// file; the value itself may be in the environment, under the name without that ending.
type Secret struct{ value string }

// NewSecret returns a Secret with a value from elsewhere, such as a test's server.
func NewSecret(value string) Secret { return Secret{value: value} }

// Reveal returns the value.
func (s Secret) Reveal() string { return s.value }

// String hides the value from every kind of formatting.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return "[hidden]"
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the value from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// literal marks a resolved value as the secret itself rather than the name of a file. It is a byte that no environment
// variable or path can contain.
const literal = "\x00"

// maxSecret is the maximum size of a secret file: 64 KiB is far above any key, and far below a mistake such as a log.
const maxSecret = 64 << 10

// Decode implements kong.MapperValue: it reads the secret from the named file, or takes its value from the environment.
func (s *Secret) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("file", &text); err != nil {
		return err
	}
	if value, found := strings.CutPrefix(text, literal); found {
		s.value = value
		return nil
	}
	info, err := os.Stat(text)
	if err != nil {
		return fmt.Errorf("read the secret: %w", err)
	}
	if info.Size() > maxSecret {
		return fmt.Errorf("read the secret: %s has %d bytes; the maximum is %d", text, info.Size(), maxSecret)
	}
	content, err := os.ReadFile(text)
	if err != nil {
		return fmt.Errorf("read the secret: %w", err)
	}
	s.value = strings.TrimRight(string(content), "\r\n")
	return nil
}

func isSecret(flag *kong.Flag) bool {
	return flag.Target.IsValid() && flag.Target.Type() == reflect.TypeFor[Secret]()
}
