/*
 * The zygote: a process in which LibreOffice is loaded once, warmed up with a few tiny documents, and forked for every
 * document. It is this program, run again: a constructor, which runs before Go's runtime starts any thread, takes over
 * when the environment says so (runc's nsenter does the same). It works in one thread, because fork copies only one.
 */
#define _GNU_SOURCE
#include "child.h"
#include "hugepages.h"
#include "office.h"
#include "packet.h"
#include "sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SOCKET = 3, MAX_CHILDREN = 1024, MAX_READABLE = 64 };

static struct {
    struct office *office;
    struct confinement confinement;
    int readable[MAX_READABLE];
    struct child {
        uint64_t id;
        pid_t pid;
    } children[MAX_CHILDREN];
    struct pollfd sources[1 + MAX_CHILDREN]; /* the socket, and then the descriptor of children[i] at i + 1 */
    size_t children_count;
    unsigned forks;
    char *heap; /* where it began before LibreOffice was loaded */
} zygote;

static void send_packet(const struct writer *w)
{
    while (send(SOCKET, w->bytes, w->length, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            _exit(1); /* the converter is gone */
}

/* Reports why the zygote cannot go on, and ends; the children end with it. */
static _Noreturn void fault(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct writer w = { .length = 0 };
    write_u8(&w, FAULT);
    write_string(&w, text);
    send_packet(&w);
    _exit(1);
}

/* Reads a short file about a thread; text is empty if that fails. */
static void read_about(const char *thread, const char *file, char *text, int room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%.20s/%s", thread, file);
    *text = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    if (!fgets(text, room, f))
        *text = 0;
    fclose(f);
}

/*
 * LibreOffice writes its configuration in a thread of its own about a second after a change. In 7.4 the thread then
 * ends; in 25.2 it waits for the next change, without a time limit and on a condition variable, so that it holds no
 * lock. Only the C library's condition variables wait with FUTEX_WAIT_BITSET.
 */
static bool is_idle(const char *thread)
{
    char text[256];
    read_about(thread, "comm", text, sizeof text);
    if (strcmp(text, "configmgrWriter\n") != 0)
        return false;
    long call;
    unsigned long long operation, limit;
    read_about(thread, "syscall", text, sizeof text);
    return sscanf(text, "%ld %*x %llx %*x %llx", &call, &operation, &limit) == 3 && call == SYS_futex
        && (operation & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && limit == 0;
}

/* Counts all threads, and the busy ones besides this one. */
static void count_threads(unsigned *all, unsigned *busy)
{
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks)
        fault("list /proc/self/task: %s", strerror(errno));
    *all = *busy = 0;
    for (const struct dirent *entry; (entry = readdir(tasks));) {
        if (entry->d_name[0] == '.')
            continue;
        ++*all;
        *busy += atoi(entry->d_name) != getpid() && !is_idle(entry->d_name);
    }
    closedir(tasks);
}

/*
 * Waits until no other thread is busy, and returns the number of threads. A lock that another thread holds at a fork
 * stays locked in the child forever, and the work of threads that the child does not have is never done.
 */
static unsigned await_idle(unsigned milliseconds)
{
    const struct timespec pause = { .tv_nsec = 1000 * 1000 };
    unsigned all, busy;
    for (unsigned waited = 0;; waited++) {
        count_threads(&all, &busy);
        if (!busy)
            return all;
        if (waited == milliseconds)
            fault("%u of %u threads are busy: cannot fork", busy, all - 1);
        nanosleep(&pause, NULL);
    }
}

struct packet_in {
    uint8_t bytes[MAX_PACKET];
    size_t length;
    int descriptor; /* the one that was sent with it, or -1 */
};

/* Returns false if the converter has closed the socket. */
static bool receive(struct packet_in *packet)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = { packet->bytes, sizeof packet->bytes };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
    ssize_t length;
    while ((length = recvmsg(SOCKET, &message, MSG_CMSG_CLOEXEC)) < 0)
        if (errno != EINTR)
            fault("receive: %s", strerror(errno));
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        fault("a packet is larger than %d bytes or has more than one descriptor", MAX_PACKET);
    packet->length = (size_t)length;
    packet->descriptor = -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(&packet->descriptor, CMSG_DATA(header), sizeof(int));
    return length > 0;
}

static struct reader begin(const struct packet_in *packet)
{
    return (struct reader){ .at = packet->bytes, .end = packet->bytes + packet->length };
}

static void send_refused(uint64_t id, const char *reason)
{
    struct writer w = { .length = 0 };
    write_u8(&w, REFUSED);
    write_u64(&w, id);
    write_string(&w, reason);
    send_packet(&w);
}

static void send_started(uint64_t id, pid_t pid)
{
    struct writer w = { .length = 0 };
    write_u8(&w, STARTED);
    write_u64(&w, id);
    write_u32(&w, (uint32_t)pid);
    send_packet(&w);
}

/*
 * Moving to huge pages costs 0.18 s of processor time and saves 9 ms for each child, so a zygote that converts only a few
 * documents does not do it.
 */
static void prepare_fork(void)
{
    enum { WORTH_HUGE_PAGES = 20 };
    await_idle(100);
    if (++zygote.forks == WORTH_HUGE_PAGES) {
        collapse_heap(zygote.heap);
        collapse_libraries();
    }
}

static void start_child(uint64_t id, const struct task *task)
{
    if (zygote.children_count == MAX_CHILDREN)
        return send_refused(id, "too many children");
    prepare_fork();
    pid_t self = getpid(), pid = fork();
    if (pid == 0)
        child_main(zygote.office, task, &zygote.confinement, self);
    if (pid < 0)
        return send_refused(id, strerror(errno));
    /* Not SIGCHLD: LibreOffice 25.2 has a thread that does not block it, which would take it away from a signalfd. */
    int ending = (int)syscall(SYS_pidfd_open, pid, 0);
    if (ending < 0)
        fault("watch a child: %s", strerror(errno));
    zygote.children[zygote.children_count++] = (struct child){ .id = id, .pid = pid };
    zygote.sources[zygote.children_count] = (struct pollfd){ .fd = ending, .events = POLLIN };
    send_started(id, pid);
}

static void on_convert(const struct packet_in *packet, struct reader r)
{
    uint64_t id = read_u64(&r);
    struct task task = { .report = packet->descriptor };
    task.limits.memory = read_u64(&r);
    task.limits.file_size = read_u64(&r);
    task.limits.cpu = read_u32(&r);
    task.limits.open_files = read_u32(&r);
    char *texts[10];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        texts[i] = read_string(&r);
    task.conversion.has_password = read_u8(&r);
    task.conversion.type = read_u8(&r);
    if (!read_all(&r) || packet->descriptor < 0)
        fault("malformed request to convert");
    task.directory = texts[0], task.source = texts[1];
    task.conversion.source_url = texts[2], task.conversion.load_options = texts[3];
    task.conversion.target_url = texts[4], task.conversion.format = texts[5], task.conversion.save_options = texts[6];
    task.conversion.password = texts[7], task.conversion.command = texts[8];
    task.font_rules = texts[9];
    start_child(id, &task);
    explicit_bzero(texts[7], strlen(texts[7])); /* later children must not inherit a password */
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
}

static void on_kill(struct reader r)
{
    uint64_t id = read_u64(&r);
    if (!read_all(&r))
        fault("malformed request to kill");
    for (size_t i = 0; i < zygote.children_count; i++)
        if (zygote.children[i].id == id)
            kill(zygote.children[i].pid, SIGKILL); /* not yet reaped, so its id is not reused */
}

/* Returns false when the converter is gone. */
static bool serve_packet(void)
{
    static struct packet_in packet; /* large for a stack */
    bool more = receive(&packet);
    if (more) {
        struct reader r = begin(&packet);
        switch (read_u8(&r)) {
        case CONVERT:
            on_convert(&packet, r);
            break;
        case KILL:
            on_kill(r);
            break;
        default:
            fault("a packet of unknown kind %u", packet.bytes[0]);
        }
    }
    explicit_bzero(packet.bytes, packet.length);
    if (packet.descriptor >= 0)
        close(packet.descriptor);
    return more;
}

static uint64_t microseconds(struct timeval t) { return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec; }

static void send_done(uint64_t id, int status, const struct rusage *usage)
{
    struct writer w = { .length = 0 };
    write_u8(&w, DONE);
    write_u64(&w, id);
    write_u32(&w, WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0);
    write_u32(&w, WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0);
    write_u64(&w, (uint64_t)usage->ru_maxrss * 1024);
    write_u64(&w, microseconds(usage->ru_utime) + microseconds(usage->ru_stime));
    send_packet(&w);
}

static void reap(size_t i)
{
    int status;
    struct rusage usage;
    while (wait4(zygote.children[i].pid, &status, 0, &usage) < 0)
        if (errno != EINTR)
            fault("wait for a child: %s", strerror(errno));
    send_done(zygote.children[i].id, status, &usage);
    close(zygote.sources[i + 1].fd);
    zygote.children_count--;
    zygote.children[i] = zygote.children[zygote.children_count];
    zygote.sources[i + 1] = zygote.sources[zygote.children_count + 1];
}

/* Serves until the converter is gone. Called from LibreOffice's main loop, and does not return to it. */
static _Noreturn void serve(void)
{
    zygote.sources[0] = (struct pollfd){ .fd = SOCKET, .events = POLLIN };
    for (;;) {
        if (poll(zygote.sources, 1 + zygote.children_count, -1) < 0) {
            if (errno != EINTR)
                fault("poll: %s", strerror(errno));
            continue;
        }
        for (size_t i = zygote.children_count; i-- > 0;) /* from the end, because the last one takes a dead one's place */
            if (zygote.sources[i + 1].revents)
                reap(i);
        if (zygote.sources[0].revents && !serve_packet())
            _exit(0);
    }
}

static struct {
    char *program, *profile_url;
    struct conversion *warm;
    size_t warm_count;
} start;

/* Filters, fonts and configuration that a warm-up document loads are in memory in every child. */
static void warm_up(void)
{
    for (size_t i = 0; i < start.warm_count; i++) {
        enum outcome outcome = office_convert(zygote.office, &start.warm[i]);
        if (outcome != CONVERTED)
            fault("warm up with %s: outcome %d: %s", start.warm[i].source_url, outcome, office_error(zygote.office));
    }
}

static void send_hello(unsigned threads)
{
    char *version = office_version(zygote.office);
    struct writer w = { .length = 0 };
    write_u8(&w, HELLO);
    write_u32(&w, PROTOCOL_VERSION);
    write_u32(&w, landlock_version());
    write_u32(&w, threads);
    write_string(&w, version ? version : "");
    free(version);
    send_packet(&w);
}

static void on_idle(void)
{
    send_hello(await_idle(10000)); /* LibreOffice writes its configuration 1 s after the last change */
    serve();
}

static void read_readable(struct reader *r)
{
    uint32_t count = read_u32(r);
    for (uint32_t i = 0; i < count && !r->bad; i++) {
        char *path = read_string(r);
        if (zygote.confinement.readable_count == MAX_READABLE)
            fault("more than %d readable paths", MAX_READABLE);
        int fd = open(path, O_PATH | O_CLOEXEC);
        if (fd >= 0) /* most exist only in some distributions */
            zygote.readable[zygote.confinement.readable_count++] = fd;
        free(path);
    }
}

static void read_warm(struct reader *r)
{
    uint32_t count = read_u32(r);
    if (count > 64 || !(start.warm = calloc(count + 1, sizeof *start.warm)))
        fault("too many warm-up documents");
    for (; start.warm_count < count && !r->bad; start.warm_count++) {
        struct conversion *c = &start.warm[start.warm_count];
        c->source_url = read_string(r);
        c->load_options = read_string(r);
        c->target_url = read_string(r);
        c->format = read_string(r);
        c->save_options = c->password = c->command = "";
        c->type = ANY_TYPE;
    }
}

static void configure(void)
{
    static struct packet_in packet;
    if (!receive(&packet))
        _exit(0);
    struct reader r = begin(&packet);
    if (read_u8(&r) != CONFIGURE || read_u32(&r) != PROTOCOL_VERSION)
        fault("the first packet is not a configuration of version %d", PROTOCOL_VERSION);
    start.program = read_string(&r);
    start.profile_url = read_string(&r);
    zygote.confinement.wanted = read_u8(&r);
    zygote.confinement.landlock = landlock_version();
    zygote.confinement.readable = zygote.readable;
    read_readable(&r);
    read_warm(&r);
    if (!read_all(&r))
        fault("malformed configuration");
}

static _Noreturn void run(void)
{
    char explanation[1024] = "";
    prctl(PR_SET_NAME, "docmill-zygote");
    zygote.heap = sbrk(0);
    configure();
    zygote.office = office_load(start.program, start.profile_url, explanation, sizeof explanation);
    if (!zygote.office)
        fault("%s", explanation);
    office_run(zygote.office, warm_up, on_idle);
    fault("LibreOffice's main loop ended; LibreOffice 26.8 and newer are not supported");
}

__attribute__((constructor)) static void take_over(void)
{
    static const char variable[] = "DOCMILL_ZYGOTE";
    if (!getenv(variable))
        return;
    unsetenv(variable);
    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(SOCKET, SOL_SOCKET, SO_TYPE, &type, &size) || type != SOCK_SEQPACKET) {
        fprintf(stderr, "%s is set, but descriptor %d is not a packet socket: unset the variable, it is set by docmill itself\n",
            variable, SOCKET);
        _exit(2);
    }
    fcntl(SOCKET, F_SETFD, FD_CLOEXEC);
    run();
}
