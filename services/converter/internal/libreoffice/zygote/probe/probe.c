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

/* One line for each try: its name, and "done" or why it was refused. */
static void tell(const char *name, long returned)
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
    tell("write inside", open("inside", O_WRONLY | O_CREAT, 0600));
    tell("read /etc/passwd", open("/etc/passwd", O_RDONLY));
    tell("read /etc/shadow", open("/etc/shadow", O_RDONLY));
    tell("list /", open("/", O_RDONLY | O_DIRECTORY));
    tell("list the folder above", open("..", O_RDONLY | O_DIRECTORY));
    tell("read the parent's memory", open("/proc/self/../1/mem", O_RDONLY));
    tell("read own environment", open("/proc/self/environ", O_RDONLY));
    tell("write beside the folder", open("../outside", O_WRONLY | O_CREAT, 0600));
    tell("write /tmp", open("/tmp/docmill-probe", O_WRONLY | O_CREAT, 0600));
    tell("write LibreOffice", open("/usr/lib/libreoffice/docmill-probe", O_WRONLY | O_CREAT, 0600));
    tell("link out", link("inside", "../linked"));
    tell("change a mode", chmod("inside", 0777));
    tell("change an owner", chown("inside", 0, 0));
    tell("make a device", mknod("device", S_IFCHR | 0600, 0));
    tell("read a font folder", open("/usr/share/fonts", O_RDONLY | O_DIRECTORY));
}

static void try_network(void)
{
    tell("socket", socket(AF_INET, SOCK_STREAM, 0));
    tell("unix socket", socket(AF_UNIX, SOCK_STREAM, 0));
    int pair[2];
    tell("socket pair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    tell("io_uring", syscall(SYS_io_uring_setup, 1, NULL));
}

static void try_processes(void)
{
    tell("fork", try_fork());
    tell("vfork", syscall(SYS_vfork));
    tell("clone", try_raw_clone(SIGCHLD));
    tell("clone a namespace", try_raw_clone(CLONE_THREAD | CLONE_VM | CLONE_SIGHAND | CLONE_NEWNET));
    tell("clone3", syscall(SYS_clone3, NULL, 0));
    tell("exec", try_exec());
    tell("execveat", syscall(SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0));
    tell("kill the parent", kill(getppid(), 0));
    tell("kill everybody", kill(-1, 0));
    tell("tgkill the parent", syscall(SYS_tgkill, getppid(), getppid(), 0));
    tell("tkill", syscall(SYS_tkill, getppid(), 0));
    tell("queue a signal", syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, NULL));
    tell("ptrace", ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    tell("read another's memory", process_vm_readv(getppid(), NULL, 0, NULL, 0, 0));
    tell("kill itself with nothing", kill(getpid(), 0));
    tell("thread", try_thread());
}

static void try_system(void)
{
    tell("mount", mount("none", "/", "tmpfs", 0, NULL));
    tell("unshare", unshare(CLONE_NEWUSER));
    tell("setns", setns(0, 0));
    tell("chroot", chroot("."));
    tell("bpf", syscall(SYS_bpf, 0, NULL, 0));
    tell("keyctl", syscall(SYS_keyctl, 0, 0, 0, 0, 0));
    tell("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
    tell("userfaultfd", syscall(SYS_userfaultfd, 0));
    tell("memfd_create", syscall(SYS_memfd_create, "x", 0));
    tell("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    tell("init_module", syscall(SYS_init_module, NULL, 0, ""));
    tell("become root", setuid(0));
    tell("become dumpable", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
    const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
    tell("raise a limit", setrlimit(RLIMIT_CPU, &unlimited));
    tell("raise the priority", setpriority(PRIO_PROCESS, 0, 0));
    struct rlimit own;
    tell("read a limit", getrlimit(RLIMIT_CPU, &own));
}

/* What the child was born with and should not have: descriptors, variables. */
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

int docmill_probe(const char *folder)
{
    (void)folder;
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
