// Package wire is the protocol between the converter and a zygote, a process that has LibreOffice loaded and forks a
// child for each document. The zygote's end is written in C, in package zygote.
//
// Both ends are processes of one program on one machine, so the version is only a precaution. The socket is a
// SOCK_SEQPACKET, which keeps packets apart. Each packet begins with a byte for its kind; numbers are little-endian; a
// string is its length as 4 bytes and its bytes, without NUL. A packet is at most MaxPacket bytes long. A malformed
// packet is never skipped: its receiver closes the socket.
//
//	to the zygote    Configure  once, first: where LibreOffice is, what children may read, the warm-up documents
//	                 Convert    with one descriptor, the end of a pipe into which the child writes its reports
//	                 Kill       kill a child
//	from the zygote  Hello      once: it is warm
//	                 Started    a child was forked
//	                 Refused    no child could be forked
//	                 Done       a child has ended, and how
//	                 Fault      why the zygote ends; the last packet
//
// The zygote ends when the socket is closed, and its children end when the zygote does, for whatever reason: each asks
// the kernel for SIGKILL at that moment (PR_SET_PDEATHSIG).
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Version is the version of the protocol.
const Version = 3

// MaxPacket is the maximum length of a packet, in bytes.
const MaxPacket = 64 << 10

const (
	kindConfigure = 1
	kindConvert   = 2
	kindKill      = 3
	kindHello     = 65
	kindStarted   = 66
	kindDone      = 67
	kindRefused   = 68
	kindFault     = 69
)

// ErrMalformed means that a packet or a report is not as this package describes, or too large.
var ErrMalformed = errors.New("malformed packet")

// Configure configures a zygote.
type Configure struct {
	// Program is LibreOffice's directory "program".
	Program string
	// ProfileURL is the directory of its settings, as a URL.
	ProfileURL string
	// Confined reports whether children are sandboxed. Otherwise only resource limits apply.
	Confined bool
	// Readable lists the files and directories that children may read. Paths that do not exist are ignored.
	Readable []string
	// Warm lists the documents to convert before the first fork.
	Warm []Warm
}

// Warm is a document that the zygote converts itself.
type Warm struct{ SourceURL, LoadOptions, TargetURL, Format string }

// Convert requests a child.
type Convert struct {
	ID     uint64
	Limits Limits
	// Directory is the only one that the child can write to, and its working directory. Source is the path of the
	// document, the only file besides the configured ones that it can read.
	Directory, Source string
	// SourceURL and TargetURL are what LibreOffice opens and writes; LoadOptions and SaveOptions go with them.
	SourceURL, LoadOptions string
	TargetURL, Format      string
	SaveOptions            string
	// Command is run on the document before it is written, such as ".uno:UpdateAllIndexes"; may be empty.
	Command string
	// Password opens an encrypted document. Nil means none, as opposed to an empty one.
	Password *string
	// Type is the kind that the document must have.
	Type Type
	// FontRules is the path of a file of fontconfig with rules for this document only, which is read before the child is
	// sandboxed; may be empty.
	FontRules string
}

// Type is a kind of document, with LibreOfficeKit's numbers.
type Type uint8

// The types. AnyType accepts any document.
const (
	Text         Type = 0
	Spreadsheet  Type = 1
	Presentation Type = 2
	Drawing      Type = 3
	AnyType      Type = 255
)

// Limits bound a child; the kernel enforces them.
type Limits struct {
	// Memory is the memory that the child may use in addition to that at the fork, in bytes.
	Memory uint64
	// FileSize is the size of its largest file, in bytes.
	FileSize uint64
	// CPU is the processor time of all its threads, in seconds.
	CPU       uint32
	OpenFiles uint32
}

// Hello means that a zygote is warm.
type Hello struct {
	// Landlock is the version of the kernel's Landlock, 0 without it.
	Landlock uint32
	// Threads is the number of threads of the idle zygote.
	Threads uint32
	// Office is the JSON of LibreOfficeKit's getVersionInfo.
	Office string
}

// Started means that a child was forked.
type Started struct {
	ID  uint64
	PID int
}

// Refused means that no child could be forked.
type Refused struct {
	ID     uint64
	Reason string
}

// Done is how a child ended.
type Done struct {
	ID uint64
	// Outcome is the child's exit status. It is only meaningful if Signal is 0.
	Outcome Outcome
	// Signal is the signal that killed the child, or 0.
	Signal int
	// PeakMemory is its largest resident memory in bytes, including what it shares with the zygote.
	PeakMemory int64
	// CPU is the processor time that it used.
	CPU time.Duration
}

// Fault is why a zygote ends.
type Fault struct{ Reason string }

// Outcome is the outcome of a conversion, as the child's exit status. Any other value is a crash.
type Outcome uint32

// The outcomes.
const (
	Converted        Outcome = 0
	LoadFailed       Outcome = 10
	PasswordRequired Outcome = 11
	PasswordWrong    Outcome = 12
	SaveFailed       Outcome = 13
	OutOfMemory      Outcome = 15
	NotConfined      Outcome = 16
)

type builder []byte

func (b builder) number32(n uint32) builder { return binary.LittleEndian.AppendUint32(b, n) }
func (b builder) number64(n uint64) builder { return binary.LittleEndian.AppendUint64(b, n) }

func (b builder) texts(values ...string) builder {
	for _, value := range values {
		b = append(b.number32(uint32(len(value))), value...)
	}
	return b
}

func (b builder) flag(value bool) builder {
	if value {
		return append(b, 1)
	}
	return append(b, 0)
}

func (b builder) packet() ([]byte, error) {
	if len(b) > MaxPacket {
		return nil, fmt.Errorf("%w: %d bytes, the maximum is %d", ErrMalformed, len(b), MaxPacket)
	}
	return b, nil
}

// Marshal encodes the packet.
func (c Configure) Marshal() ([]byte, error) {
	b := builder{kindConfigure}.number32(Version).texts(c.Program, c.ProfileURL).flag(c.Confined)
	b = b.number32(uint32(len(c.Readable))).texts(c.Readable...)
	b = b.number32(uint32(len(c.Warm)))
	for _, warm := range c.Warm {
		b = b.texts(warm.SourceURL, warm.LoadOptions, warm.TargetURL, warm.Format)
	}
	return b.packet()
}

// Marshal encodes the packet. A string that contains NUL is ErrMalformed: C would truncate it.
func (c Convert) Marshal() ([]byte, error) {
	password := ""
	if c.Password != nil {
		password = *c.Password
	}
	texts := []string{c.Directory, c.Source, c.SourceURL, c.LoadOptions, c.TargetURL, c.Format, c.SaveOptions, password, c.Command, c.FontRules}
	if strings.Contains(strings.Join(texts, ""), "\x00") {
		return nil, fmt.Errorf("%w: NUL in a string", ErrMalformed)
	}
	b := builder{kindConvert}.number64(c.ID).number64(c.Limits.Memory).number64(c.Limits.FileSize)
	b = b.number32(c.Limits.CPU).number32(c.Limits.OpenFiles).texts(texts...).flag(c.Password != nil)
	return append(b, byte(c.Type)).packet()
}

// Kill encodes the packet that kills a child.
func Kill(id uint64) []byte { return builder{kindKill}.number64(id) }

// Parse decodes a packet of the zygote's: a [Hello], [Started], [Refused], [Done] or [Fault].
func Parse(packet []byte) (any, error) {
	r := &reader{rest: packet}
	kind := r.take(1)
	var message any
	switch {
	case r.bad:
	case kind[0] == kindHello:
		if version := r.number32(); version != Version {
			return nil, fmt.Errorf("%w: the zygote has version %d instead of %d", ErrMalformed, version, Version)
		}
		message = Hello{Landlock: r.number32(), Threads: r.number32(), Office: r.text()}
	case kind[0] == kindStarted:
		message = Started{ID: r.number64(), PID: int(r.number32())}
	case kind[0] == kindRefused:
		message = Refused{ID: r.number64(), Reason: r.text()}
	case kind[0] == kindDone:
		message = Done{
			ID: r.number64(), Outcome: Outcome(r.number32()), Signal: int(r.number32()),
			PeakMemory: int64(r.number64()), CPU: time.Duration(r.number64()) * time.Microsecond,
		}
	case kind[0] == kindFault:
		message = Fault{Reason: r.text()}
	}
	if message == nil || r.bad || len(r.rest) > 0 {
		return nil, fmt.Errorf("%w: %d bytes %.16x", ErrMalformed, len(packet), packet)
	}
	return message, nil
}

type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n uint32) []byte {
	if r.bad || uint64(len(r.rest)) < uint64(n) {
		r.bad = true
		return make([]byte, 8)
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) number32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) number64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

func (r *reader) text() string {
	length := r.number32()
	if r.bad {
		return ""
	}
	return strings.ToValidUTF8(string(r.take(length)), "\uFFFD")
}
