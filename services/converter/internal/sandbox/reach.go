package sandbox

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Reach is what a process may touch: it gets no new privileges, no sockets, no other processes, and of files only these. A
// kernel without Landlock (before Linux 5.13) leaves it the files; whether that is good enough is for others to say, once,
// at the start.
type Reach struct {
	// Readable lists files and folders that it may read, and the programs that it may run. What does not exist is passed over.
	Readable []string
	// Writable lists the folders that it may write to as well.
	Writable []string
}

// Programs is the reach of a program that is installed where distributions put them: programs, libraries, fonts and data on
// languages, nothing of which is secret, and nothing to write to.
func Programs() *Reach {
	return &Reach{Readable: []string{
		"/usr/bin", "/bin", "/usr/local/bin", "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/etc/ld.so.cache",
		"/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/fontconfig", "/etc/fonts", "/var/cache/fontconfig",
		"/usr/share/poppler", "/usr/share/color", "/usr/share/locale", "/usr/lib/locale", "/dev/urandom",
	}}
}

// Read adds files and folders to read.
func (r *Reach) Read(paths ...string) *Reach {
	return &Reach{Readable: append(r.Readable, paths...), Writable: r.Writable}
}

// Write adds folders to write to.
func (r *Reach) Write(folders ...string) *Reach {
	return &Reach{Readable: r.Readable, Writable: append(r.Writable, folders...)}
}

// enter takes all else from the calling thread, and so from the processes that it forks.
func (r *Reach) enter() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	if err := r.confineFiles(); err != nil {
		return fmt.Errorf("confine files: %w", err)
	}
	if err := confineCalls(); err != nil {
		return fmt.Errorf("confine system calls: %w", err)
	}
	return nil
}

const (
	readFiles = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR | unix.LANDLOCK_ACCESS_FS_EXECUTE
	// ofFiles are the rights that a rule for a file, and not a folder, can have.
	ofFiles = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE
	devices = unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
)

func (r *Reach) confineFiles() error {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno == unix.ENOSYS || errno == unix.EOPNOTSUPP {
		return nil
	}
	handled := handledRights(int(version))
	attributes := unix.LandlockRulesetAttr{Handled_access_fs: handled}
	ruleset, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attributes)), unsafe.Sizeof(attributes.Handled_access_fs), 0)
	if errno != 0 {
		return fmt.Errorf("make a ruleset: %w", errno)
	}
	defer unix.Close(int(ruleset))
	null := unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	err := allow(int(ruleset), os.DevNull, uint64(null)&handled)
	for _, path := range r.Readable {
		err = errors.Join(err, allow(int(ruleset), path, readFiles))
	}
	for _, path := range r.Writable {
		err = errors.Join(err, allow(int(ruleset), path, handled&^(unix.LANDLOCK_ACCESS_FS_EXECUTE|devices)))
	}
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0); errno != 0 {
		return fmt.Errorf("enter the ruleset: %w", errno)
	}
	return nil
}

// handledRights are all that a version of Landlock knows: what is not handled is not confined.
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

// allow gives a path, and all below it, rights.
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
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if info.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= ofFiles
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return fmt.Errorf("allow %s: %w", path, errno)
	}
	return nil
}
