// Package protocol is the conversation between the converter and the parent of its conversions, a process that has
// LibreOffice loaded and forks a child for each document. The parent's end is written in C, in package parent.
//
// Both ends are processes of one binary on one machine, so the version only guards against a binary that was replaced
// while it ran. The packets of a SOCK_SEQPACKET socket keep their bounds. Each begins with a byte that says what it is;
// numbers are little-endian; a string is its length as 4 bytes and its bytes, without NUL. A packet is at most MaxPacket
// long. A malformed packet is never skipped: whoever gets one ends the conversation.
//
//	to the parent    Configure  once, first: where LibreOffice is, what children may read, what to warm up on
//	                 Convert    with one descriptor, the end of a pipe into which the child writes its reports
//	                 Kill       end a child at once
//	from the parent  Hello      once: it is warm
//	                 Started    a child works
//	                 Refused    no child could be forked
//	                 Done       a child has ended, and how
//	                 Fault      why it ends; the last packet
//
// The end of the socket ends the parent, and the end of the parent, however it comes, ends its children: each asks the
// kernel for SIGKILL at that moment (PR_SET_PDEATHSIG).
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Version is what both ends must speak.
const Version = 2

// MaxPacket is the length of the longest packet, in bytes.
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

// ErrMalformed says that a packet or a report is not what this package describes, or too large.
var ErrMalformed = errors.New("malformed packet")

// Configure prepares a parent.
type Configure struct {
	// Program is LibreOffice's folder "program".
	Program string
	// ProfileURL is the folder of its settings, as a URL.
	ProfileURL string
	// Confined says whether children are locked in. Without it only resource limits hold.
	Confined bool
	// Readable lists the files and folders that children may read. What does not exist is passed over.
	Readable []string
	// Warm lists the documents to convert before the first child.
	Warm []Warm
}

// Warm is a document that the parent converts itself.
type Warm struct{ SourceURL, LoadOptions, TargetURL, Format string }

// Convert asks for a child.
type Convert struct {
	ID     uint64
	Limits Limits
	// Folder is the only one that the child can write to; its working folder. Source is the path of the document, the only
	// file beside the configured ones that it can read.
	Directory, Source string
	// SourceURL and TargetURL are what LibreOffice opens and writes; LoadOptions and SaveOptions go with them.
	SourceURL, LoadOptions string
	TargetURL, Format      string
	SaveOptions            string
	// Command is what LibreOffice does with the document before it writes it, such as ".uno:UpdateAllIndexes"; may be empty.
	Command string
	// Password opens the document, if it asks for one. Nil is none, which an empty one is not.
	Password *string
	// Type is what the document must turn out to be.
	Type Type
}

// Type is a kind of document, by LibreOfficeKit's numbers.
type Type uint8

// The types. AnyType is for a document that may be anything.
const (
	Text         Type = 0
	Spreadsheet  Type = 1
	Presentation Type = 2
	Drawing      Type = 3
	AnyType      Type = 255
)

// Limits bound a child; the kernel enforces them.
type Limits struct {
	// Memory is how much it may use beyond what it was born with, in bytes.
	Memory uint64
	// FileSize is the size of its largest file, in bytes.
	FileSize uint64
	// CPU is processor time of all its threads, in seconds.
	CPU       uint32
	OpenFiles uint32
}

// Hello says that a parent is warm.
type Hello struct {
	// Landlock is the version of the kernel's Landlock, 0 without it.
	Landlock uint32
	// Threads is how many threads the parent has at rest.
	Threads uint32
	// Office is LibreOffice's version, as JSON of LibreOfficeKit's getVersionInfo.
	Office string
}

// Started says that a child works.
type Started struct {
	ID  uint64
	PID int
}

// Refused says that a child could not be forked.
type Refused struct {
	ID     uint64
	Reason string
}

// Done says how a child has ended.
type Done struct {
	ID uint64
	// Outcome is the child's own word. It only counts when Signal is 0.
	Outcome Outcome
	// Signal is what killed it, or 0.
	Signal int
	// PeakMemory is its largest resident memory in bytes, what it shares with the parent included.
	PeakMemory int64
	// CPU is the processor time that it took.
	CPU time.Duration
}

// Fault is why a parent ends.
type Fault struct{ Reason string }

// Outcome is how a conversion came out, by the child's exit status. Any other value is a crash.
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
		return nil, fmt.Errorf("%w: %d bytes, the most is %d", ErrMalformed, len(b), MaxPacket)
	}
	return b, nil
}

// Marshal makes the packet.
func (c Configure) Marshal() ([]byte, error) {
	b := builder{kindConfigure}.number32(Version).texts(c.Program, c.ProfileURL).flag(c.Confined)
	b = b.number32(uint32(len(c.Readable))).texts(c.Readable...)
	b = b.number32(uint32(len(c.Warm)))
	for _, warm := range c.Warm {
		b = b.texts(warm.SourceURL, warm.LoadOptions, warm.TargetURL, warm.Format)
	}
	return b.packet()
}

// Marshal makes the packet. A string with a NUL in it is ErrMalformed: C would see half of it.
func (c Convert) Marshal() ([]byte, error) {
	password := ""
	if c.Password != nil {
		password = *c.Password
	}
	texts := []string{c.Directory, c.Source, c.SourceURL, c.LoadOptions, c.TargetURL, c.Format, c.SaveOptions, password, c.Command}
	if strings.Contains(strings.Join(texts, ""), "\x00") {
		return nil, fmt.Errorf("%w: a NUL in a string", ErrMalformed)
	}
	b := builder{kindConvert}.number64(c.ID).number64(c.Limits.Memory).number64(c.Limits.FileSize)
	b = b.number32(c.Limits.CPU).number32(c.Limits.OpenFiles).texts(texts...).flag(c.Password != nil)
	return append(b, byte(c.Type)).packet()
}

// Kill makes the packet that ends a child.
func Kill(id uint64) []byte { return builder{kindKill}.number64(id) }

// Parse reads a packet of the parent's: a [Hello], [Started], [Refused], [Done] or [Fault].
func Parse(packet []byte) (any, error) {
	r := &reader{rest: packet}
	kind := r.take(1)
	var message any
	switch {
	case r.bad:
	case kind[0] == kindHello:
		if version := r.number32(); version != Version {
			return nil, fmt.Errorf("%w: the parent speaks version %d instead of %d", ErrMalformed, version, Version)
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
