package sandbox

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Access is what a sandboxed process may use: no new privileges, no sockets, no other processes, and of the file system
// only the listed paths and /dev/null. On a kernel without Landlock (before Linux 5.13) its file access is
// not restricted; whether that is acceptable is decided once, at the start of the converter.
//
// The restrictions apply to a single thread, the one that forks the process. That is why libraries are not used for
// them: landlock-lsm/go-landlock and elastic/go-seccomp-bpf restrict all threads of the calling process, here the
// converter.
type Access struct {
	// Readable lists files and directories that may be read, and programs that may be run. Paths that do not exist are
	// ignored.
	Readable []string
	// Writable lists directories that may be read and written.
	Writable []string
}

// systemFiles lists what every program needs to read, LibreOffice included: libraries, fonts, locales and color
// profiles, where distributions install them. These files are not secret; nothing else in /etc and no home directory is
// on the list.
var systemFiles = []string{
	"/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/etc/ld.so.cache",
	"/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/fontconfig", "/etc/fonts", "/var/cache/fontconfig",
	"/usr/share/locale", "/usr/share/color", "/dev/urandom",
}

// SystemFiles returns the paths that every sandboxed program may read, with more appended.
func SystemFiles(more ...string) []string { return slices.Concat(systemFiles, more) }

// Tools returns the access of an external tool: the directories of programs, and SystemFiles; no directory to write to.
func Tools() *Access {
	return &Access{Readable: SystemFiles("/usr/bin", "/bin", "/usr/local/bin", "/usr/share/poppler")}
}

// Read adds files and directories to read.
func (a *Access) Read(paths ...string) *Access {
	return &Access{Readable: slices.Concat(a.Readable, paths), Writable: a.Writable}
}

// Write adds directories to write to.
func (a *Access) Write(directories ...string) *Access {
	return &Access{Readable: a.Readable, Writable: slices.Concat(a.Writable, directories)}
}

// restrictThread restricts the calling thread, and so the processes that it forks.
func (a *Access) restrictThread() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid new privileges: %w", err)
	}
	if err := a.confineFiles(); err != nil {
		return fmt.Errorf("confine files: %w", err)
	}
	if err := confineCalls(); err != nil {
		return fmt.Errorf("confine system calls: %w", err)
	}
	return nil
}

// The access rights of Landlock. LibreOffice's processes are confined in C, with the same rights:
// libreoffice/zygote/sandbox.c.
const (
	readFiles = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR | unix.LANDLOCK_ACCESS_FS_EXECUTE
	// fileRights are the rights that a rule for a file, as opposed to a directory, can have.
	fileRights = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE
	devices = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

// Landlock returns the kernel's version of Landlock; 0 if it has none.
func Landlock() int {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(version)
}

// Seccomp reports whether the kernel has seccomp filters.
func Seccomp() bool {
	const noFilter = 0 // the kernel refuses a filter at no address with EFAULT, or says that it knows none
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, noFilter, 0, 0)
	return errors.Is(err, unix.EFAULT)
}

func (a *Access) confineFiles() error {
	version := Landlock()
	if version == 0 {
		return nil
	}
	handled := handledRights(version)
	attributes := unix.LandlockRulesetAttr{Handled_access_fs: handled}
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET,
		uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes.Handled_access_fs), 0)
	if errno != 0 {
		return fmt.Errorf("create a ruleset: %w", errno)
	}
	defer unix.Close(int(ruleset))
	null := unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	err := allow(int(ruleset), os.DevNull, uint64(null)&handled)
	for _, path := range a.Readable {
		err = errors.Join(err, allow(int(ruleset), path, readFiles))
	}
	for _, path := range a.Writable {
		err = errors.Join(err, allow(int(ruleset), path, handled&^(unix.LANDLOCK_ACCESS_FS_EXECUTE|devices)))
	}
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		return fmt.Errorf("apply the ruleset: %w", errno)
	}
	return nil
}

// handledRights returns every right that a version of Landlock knows: a right that is not handled is not restricted.
func handledRights(version int) uint64 {
	const firstVersion = unix.LANDLOCK_ACCESS_FS_MAKE_SYM<<1 - 1
	rights := uint64(firstVersion)
	if version >= 2 {
		rights |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		rights |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 5 {
		rights |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	return rights
}

// allow grants rights to a path and everything below it.
func allow(ruleset int, path string, rights uint64) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer unix.Close(fd)
	var info unix.Stat_t
	if err := unix.Fstat(fd, &info); err != nil {
		return fmt.Errorf("inspect %s: %w", path, err)
	}
	if info.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= fileRights
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH,
		uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("allow %s: %w", path, errno)
	}
	return nil
}
