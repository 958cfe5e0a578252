#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static FILE *result;

/* Writes one line per attempt: its name, and "done" or the error. */
static void report(const char *name, long returned)
{
    fprintf(result, "%s: %s\n", name, returned < 0 ? strerrorname_np(errno) : "done");
}

static long try_fork(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return pid;
}

static long try_raw_clone(unsigned long flags) { return syscall(SYS_clone, flags, 0, 0, 0, 0); }

static long try_exec(void)
{
    char *const arguments[] = { "true", NULL }, *const environment[] = { NULL };
    return execve("/bin/true", arguments, environment);
}

static void *nothing(void *data) { return data; }

static long try_thread(void)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, nothing, NULL);
    return errno ? -1 : pthread_join(thread, NULL);
}

static void try_files(void)
{
    report("write inside", open("inside", O_WRONLY | O_CREAT, 0600));
    report("read /etc/passwd", open("/etc/passwd", O_RDONLY));
    report("read /etc/shadow", open("/etc/shadow", O_RDONLY));
    report("list /", open("/", O_RDONLY | O_DIRECTORY));
    report("list the parent directory", open("..", O_RDONLY | O_DIRECTORY));
    report("read another process's memory file", open("/proc/self/../1/mem", O_RDONLY));
    report("read own environment", open("/proc/self/environ", O_RDONLY));
    report("write beside the directory", open("../outside", O_WRONLY | O_CREAT, 0600));
    report("write /tmp", open("/tmp/docmill-probe", O_WRONLY | O_CREAT, 0600));
    report("write LibreOffice", open("/usr/lib/libreoffice/docmill-probe", O_WRONLY | O_CREAT, 0600));
    report("link out", link("inside", "../linked"));
    report("change a mode", chmod("inside", 0777));
    report("change an owner", chown("inside", 0, 0));
    report("sync nothing", fsync(-1)); /* the real one fails */
    report("make a device", mknod("device", S_IFCHR | 0600, 0));
    report("read a font directory", open("/usr/share/fonts", O_RDONLY | O_DIRECTORY));
}

static void try_network(void)
{
    report("socket", socket(AF_INET, SOCK_STREAM, 0));
    report("unix socket", socket(AF_UNIX, SOCK_STREAM, 0));
    int pair[2];
    report("socket pair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    report("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
}

static void try_processes(void)
{
    report("fork", try_fork());
    report("vfork", syscall(SYS_vfork));
    report("clone", try_raw_clone(SIGCHLD));
    report("clone a namespace", try_raw_clone(CLONE_THREAD | CLONE_VM | CLONE_SIGHAND | CLONE_NEWNET));
    report("clone3", syscall(SYS_clone3, NULL, 0));
    report("exec", try_exec());
    report("execveat", syscall(SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0));
    report("kill the zygote", kill(getppid(), 0));
    report("kill all processes", kill(-1, 0));
    report("tgkill the zygote", syscall(SYS_tgkill, getppid(), getppid(), 0));
    report("tkill", syscall(SYS_tkill, getppid(), 0));
    report("queue a signal", syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, NULL));
    report("ptrace", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    report("read another process's memory", process_vm_readv(getppid(), NULL, 0, NULL, 0, 0));
    report("send itself no signal", kill(getpid(), 0));
    report("thread", try_thread());
}

static void try_system(void)
{
    report("mount", mount("none", "/", "tmpfs", 0, NULL));
    report("unshare", unshare(CLONE_NEWUSER));
    report("setns", setns(0, 0));
    report("chroot", chroot("."));
    report("bpf", syscall(SYS_bpf, 0, NULL, 0));
    report("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
    report("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
    report("userfaultfd", syscall(SYS_userfaultfd, 0));
    report("memfd_create", syscall(SYS_memfd_create, "x", 0));
    report("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    report("init_module", syscall(SYS_init_module, NULL, 0, ""));
    report("become root", setuid(0));
    report("become dumpable", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
    const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
    report("raise a limit", setrlimit(RLIMIT_CPU, &unlimited));
    report("raise the priority", setpriority(PRIO_PROCESS, 0, 0));
    struct rlimit own;
    report("read a limit", getrlimit(RLIMIT_CPU, &own));
}

/* What a child must not inherit: descriptors, variables. */
static void try_inheritance(void)
{
    int open_descriptors = 0;
    for (int fd = 0; fd < 1024; fd++)
        if (fd != fileno(result) && fcntl(fd, F_GETFD) >= 0)
            open_descriptors++;
    fprintf(result, "descriptors: %d\n", open_descriptors);
    for (char **variable = environ; *variable; variable++)
        fprintf(result, "variable: %s\n", *variable);
    fprintf(result, "nice: %d\n", getpriority(PRIO_PROCESS, 0));
    fprintf(result, "no new privileges: %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    fprintf(result, "dumpable: %d\n", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
}

int docmill_probe(const char *directory)
{
    (void)directory;
    result = fopen("result.probe", "we");
    if (!result)
        return 1;
    try_inheritance();
    try_files();
    try_network();
    try_processes();
    try_system();
    return fclose(result) ? 1 : 0;
}

bool docmill_destroys(const char *target_url) { return strstr(target_url, "/one-process/") != NULL; }
