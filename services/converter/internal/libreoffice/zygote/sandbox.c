#define _GNU_SOURCE
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * The constants of linux/landlock.h up to version 6: the header of the build machine may be older than the kernel that
 * this runs on. Package sandbox uses the same rights for other programs, in Go.
 */
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446, RULE_PATH_BENEATH = 1, VERSION_FLAG = 1 };

struct ruleset {
    uint64_t files, network, scoped;
};

struct path_rule {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

#define RIGHT(bit) (1ULL << (bit))
#define EXECUTE RIGHT(0)
#define WRITE_FILE RIGHT(1)
#define READ_FILE RIGHT(2)
#define READ_DIR RIGHT(3)
#define TRUNCATE RIGHT(14)
#define IOCTL_DEVICE RIGHT(15)
#define FILE_RIGHTS (EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE)
/* Creating character and block devices, which is never needed. */
#define DEVICES (RIGHT(6) | RIGHT(11))

unsigned landlock_version(void)
{
    long version = syscall(CREATE_RULESET, NULL, 0, VERSION_FLAG);
    return version > 0 ? (unsigned)version : 0;
}

static uint64_t handled_rights(unsigned version)
{
    unsigned bits = version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13;
    return RIGHT(bits) - 1;
}

static bool allow(int ruleset, int path, uint64_t rights)
{
    struct stat info;
    if (fstat(path, &info))
        return false;
    if (!S_ISDIR(info.st_mode))
        rights &= FILE_RIGHTS;
    struct path_rule rule = { .allowed = rights, .parent = path };
    return syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) == 0;
}

static bool allow_path(int ruleset, const char *path, uint64_t rights)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool allowed = allow(ruleset, fd, rights);
    close(fd);
    return allowed;
}

bool confine_files(unsigned version, const int *readable, size_t count, const char *directory, const char *source)
{
    struct ruleset rules = { .files = handled_rights(version), .network = 3 /* bind, connect */, .scoped = 3 /* sockets, signals */ };
    size_t size = version >= 6 ? sizeof rules : version >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
    int ruleset = (int)syscall(CREATE_RULESET, &rules, size, 0);
    if (ruleset < 0)
        return false;
    bool done = allow_path(ruleset, directory, rules.files & ~(EXECUTE | DEVICES)) && allow_path(ruleset, source, READ_FILE)
        && allow_path(ruleset, "/dev/null", (READ_FILE | WRITE_FILE | TRUNCATE) & rules.files);
    for (size_t i = 0; done && i < count; i++)
        done = allow(ruleset, readable[i], READ_FILE | READ_DIR);
    done = done && syscall(RESTRICT_SELF, ruleset, 0) == 0;
    close(ruleset);
    return done;
}

static bool limit(int resource, uint64_t value)
{
    struct rlimit own;
    if (getrlimit((unsigned)resource, &own))
        return false;
    if (own.rlim_max != RLIM_INFINITY && value > own.rlim_max)
        value = own.rlim_max;
    struct rlimit wanted = { .rlim_cur = value, .rlim_max = value };
    /* The soft limit of processor time sends SIGXCPU, which identifies it; the hard limit sends only SIGKILL. */
    if (resource == RLIMIT_CPU && value > 1)
        wanted.rlim_cur--;
    return setrlimit((unsigned)resource, &wanted) == 0;
}

/* Measures this process in bytes: all mappings, and the private writable ones. */
static bool measure(uint64_t *mapped, uint64_t *data)
{
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return false;
    unsigned long size, own;
    bool read = fscanf(file, "%lu %*u %*u %*u %*u %lu", &size, &own) == 2;
    fclose(file);
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *mapped = size * page;
    *data = own * page;
    return read;
}

bool limit_resources(const struct limits *limits)
{
    /*
     * RLIMIT_DATA counts private writable memory, which is what a document can make grow. RLIMIT_AS, which also counts
     * libraries, fonts, files and the address space that allocators reserve (64 MiB per thread), is only for shared
     * memory, which RLIMIT_DATA does not count.
     */
    const uint64_t reserve = 2ULL << 30;
    uint64_t mapped, data;
    if (!measure(&mapped, &data))
        return false;
    FILE *score = fopen("/proc/self/oom_score_adj", "we"); /* best effort: some containers do not allow it */
    if (score) {
        fputs("1000", score);
        fclose(score);
    }
    setpriority(PRIO_PROCESS, 0, 10);
    return limit(RLIMIT_CORE, 0) && limit(RLIMIT_CPU, limits->cpu) && limit(RLIMIT_FSIZE, limits->file_size)
        && limit(RLIMIT_NOFILE, limits->open_files) && limit(RLIMIT_DATA, data + limits->memory)
        && limit(RLIMIT_AS, mapped + limits->memory + reserve) && limit(RLIMIT_MEMLOCK, 0) && limit(RLIMIT_MSGQUEUE, 0);
}

bool drop_privileges(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_capset, &header, none) == 0
        && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the list of system calls has to be checked on this architecture"
#endif

/*
 * What LibreOffice, the C library, fontconfig and the loader need. Not on the list, besides the obvious: calls that
 * change the mode, owner, times or attributes of files, which Landlock does not cover; anonymous files in memory;
 * watching files.
 */
static const int allowed_calls[] = {
    /* files */
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_lseek, SYS_openat,
    SYS_close, SYS_fstat, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_fstatfs, SYS_faccessat, SYS_faccessat2, SYS_getdents64,
    SYS_getcwd, SYS_chdir, SYS_fchdir, SYS_mkdirat, SYS_unlinkat, SYS_renameat2, SYS_linkat, SYS_symlinkat, SYS_readlinkat,
    SYS_ftruncate, SYS_truncate, SYS_fallocate, SYS_fadvise64, SYS_copy_file_range, SYS_sendfile, SYS_dup, SYS_dup3,
    SYS_flock, SYS_pipe2, SYS_umask, SYS_getxattr, SYS_fgetxattr, SYS_lgetxattr, SYS_close_range,
    SYS_eventfd2, SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait,
#ifdef SYS_renameat
    SYS_renameat,
#endif
#ifdef __x86_64__
    SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_getdents, SYS_mkdir, SYS_rmdir, SYS_unlink, SYS_rename, SYS_link, SYS_symlink,
    SYS_readlink, SYS_creat, SYS_dup2, SYS_pipe, SYS_eventfd, SYS_poll, SYS_select, SYS_epoll_create, SYS_epoll_wait,
    SYS_arch_prctl, SYS_time, SYS_alarm, SYS_pause, SYS_getpgrp,
#endif
    /* memory */
    SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_msync, SYS_mincore, SYS_brk, SYS_membarrier,
    /* threads and their signals */
    SYS_futex, SYS_set_robust_list, SYS_get_robust_list, SYS_set_tid_address, SYS_rseq, SYS_sched_yield,
    SYS_sched_getaffinity, SYS_sched_getparam, SYS_sched_getscheduler, SYS_sched_get_priority_max, SYS_sched_get_priority_min,
    SYS_getcpu, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigpending, SYS_rt_sigsuspend,
    SYS_rt_sigtimedwait, SYS_sigaltstack, SYS_restart_syscall, SYS_exit, SYS_exit_group, SYS_wait4,
    /* time */
    SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_times, SYS_getitimer,
    SYS_setitimer, SYS_timer_create, SYS_timer_settime, SYS_timer_gettime, SYS_timer_getoverrun, SYS_timer_delete,
    SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime,
    /* information about the process and the system */
    SYS_getpid, SYS_getppid, SYS_gettid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getgroups, SYS_getresuid,
    SYS_getresgid, SYS_getpgid, SYS_getsid, SYS_getpriority, SYS_getrusage, SYS_sysinfo, SYS_uname, SYS_getrandom, SYS_capget,
};

struct filter {
    struct sock_filter code[1024];
    unsigned short length;
};

static void add(struct filter *f, struct sock_filter instruction)
{
    if (f->length < sizeof f->code / sizeof *f->code)
        f->code[f->length++] = instruction;
}

static void load(struct filter *f, size_t offset) { add(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset)); }
static void result(struct filter *f, uint32_t action) { add(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action)); }

/* Continues with the next instruction if the loaded word is value, and otherwise skips count instructions. */
static void unless_equal_skip(struct filter *f, uint32_t value, uint8_t count)
{
    add(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count));
}

/* The low half of an argument; only used where the kernel itself uses no more than 32 bits. */
#define ARGUMENT(n) (offsetof(struct seccomp_data, args) + 8 * (n))
#define CALL offsetof(struct seccomp_data, nr)
#define DENY(error) (SECCOMP_RET_ERRNO | (error))

/* Allows a call if an argument is one of some values. */
static void allow_when(struct filter *f, int call, unsigned argument, const uint32_t *values, size_t count)
{
    unless_equal_skip(f, (uint32_t)call, (uint8_t)(2 * count + 2));
    load(f, ARGUMENT(argument));
    for (size_t i = 0; i < count; i++) {
        unless_equal_skip(f, values[i], 1);
        result(f, SECCOMP_RET_ALLOW);
    }
    result(f, DENY(EPERM));
}

/*
 * fsync succeeds without doing anything: no file of a child has to survive a power loss, because the converter stores the
 * result. LibreOffice calls it three times for a text.
 */
static void skip_syncs(struct filter *f)
{
    static const int calls[] = { SYS_fsync, SYS_fdatasync };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        unless_equal_skip(f, (uint32_t)calls[i], 1);
        result(f, SECCOMP_RET_ERRNO /* with 0, no error */);
    }
}

static void allow_by_argument(struct filter *f)
{
    uint32_t self = (uint32_t)getpid(); /* abort() sends a signal to itself */
    allow_when(f, SYS_kill, 0, &self, 1);
    allow_when(f, SYS_tgkill, 0, &self, 1);
    static const uint32_t controls[] = { TCGETS, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX };
    allow_when(f, SYS_ioctl, 1, controls, sizeof controls / sizeof *controls);
    static const uint32_t file_controls[] = { F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK,
        F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW };
    allow_when(f, SYS_fcntl, 1, file_controls, sizeof file_controls / sizeof *file_controls);
    static const uint32_t own_settings[] = { PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_SECCOMP, PR_CAPBSET_READ,
        PR_GET_PDEATHSIG, PR_GET_NO_NEW_PRIVS, 0x53564d41 /* PR_SET_VMA: names of mappings */ };
    allow_when(f, SYS_prctl, 0, own_settings, sizeof own_settings / sizeof *own_settings);

    /* clone: only threads of this process, without a new namespace. */
    const uint32_t namespaces = 0x7e020080;
    unless_equal_skip(f, SYS_clone, 5);
    load(f, ARGUMENT(0));
    add(f, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, CLONE_THREAD | namespaces));
    unless_equal_skip(f, CLONE_THREAD, 1);
    result(f, SECCOMP_RET_ALLOW);
    result(f, DENY(EPERM));

    /* prlimit64: only to read, when both halves of the pointer to a new limit are zero. */
    unless_equal_skip(f, SYS_prlimit64, 6);
    load(f, ARGUMENT(2));
    unless_equal_skip(f, 0, 3);
    load(f, ARGUMENT(2) + 4);
    unless_equal_skip(f, 0, 1);
    result(f, SECCOMP_RET_ALLOW);
    result(f, DENY(EPERM));
}

bool confine_calls(void)
{
    struct filter f = { .length = 0 };
    load(&f, offsetof(struct seccomp_data, arch));
    unless_equal_skip(&f, ARCHITECTURE, 1);
    add(&f, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 1));
    result(&f, SECCOMP_RET_KILL_PROCESS);
    load(&f, CALL);
    for (size_t i = 0; i < sizeof allowed_calls / sizeof *allowed_calls; i++) {
        unless_equal_skip(&f, (uint32_t)allowed_calls[i], 1);
        result(&f, SECCOMP_RET_ALLOW);
    }
    skip_syncs(&f);
    allow_by_argument(&f);
    /*
     * From 424 on all architectures use the same numbers, and every call is newer than Linux 5.1: programs can do
     * without them if the error says that they do not exist. One of them is clone3, whose flags a filter cannot see.
     * This line also denies the calls of x32, which begin at 0x40000000.
     */
    add(&f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 424, 0, 1));
    result(&f, DENY(ENOSYS));
    result(&f, DENY(EPERM));
    struct sock_fprog program = { .len = f.length, .filter = f.code };
    return f.length < sizeof f.code / sizeof *f.code && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
