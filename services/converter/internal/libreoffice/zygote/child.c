#define _GNU_SOURCE
#include "child.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Only test binaries that import package probe define it: it tries what the sandbox must prevent. */
__attribute__((weak)) int docmill_probe(const char *directory);

static int report_fd = -1;

/*
 * One record: kind, value, length of the text, text. It is smaller than PIPE_BUF, so it arrives in one piece or not at
 * all.
 */
static void report(uint8_t kind, uint8_t value, const char *text)
{
    uint8_t record[1024];
    size_t length = strlen(text);
    if (length > sizeof record - 4)
        length = sizeof record - 4;
    record[0] = kind, record[1] = value, record[2] = (uint8_t)length, record[3] = (uint8_t)(length >> 8);
    memcpy(record + 4, text, length);
    ssize_t written = write(report_fd, record, length + 4); /* a full pipe loses a percentage, which does not matter */
    (void)written;
}

static void report_progress(enum phase phase, int percent)
{
    static int last = -1;
    int value = percent < 0 ? 0 : percent > 100 ? 100 : percent;
    if (last == ((int)phase << 8 | value))
        return;
    last = (int)phase << 8 | value;
    report((uint8_t)phase, (uint8_t)value, "");
}

enum { EXPLANATION = 3 };

static _Noreturn void out_of_memory(void) { _exit(OUT_OF_MEMORY); }

/* std::set_new_handler: distinguishes a document at its memory limit from one that crashes. */
static void watch_memory(void)
{
    void *(*set_new_handler)(void (*)(void)) = (void *(*)(void (*)(void)))dlsym(RTLD_DEFAULT, "_ZSt15set_new_handlerPFvvE");
    if (set_new_handler)
        set_new_handler(out_of_memory);
}

/*
 * LibreOffice chose the name of its temporary directory when it started: $TMPDIR/lu….tmp. With TMPDIR=/proc/self/cwd
 * that is in the current directory of the child.
 */
static bool enter(const char *directory)
{
    glob_t temporary;
    int found = glob("lu*.tmp", GLOB_ONLYDIR, NULL, &temporary);
    if ((found != 0 && found != GLOB_NOMATCH) || chdir(directory))
        return false;
    for (size_t i = 0; found == 0 && i < temporary.gl_pathc; i++)
        if (mkdir(temporary.gl_pathv[i], 0700))
            return false;
    if (found == 0)
        globfree(&temporary);
    return true;
}

/* Keeps 0 to 2, which become /dev/null, and the report. */
static bool keep_own_descriptors(int report)
{
    if (dup2(report, 3) != 3 || fcntl(3, F_SETFL, O_NONBLOCK))
        return false;
    report_fd = 3;
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || dup2(null, 0) != 0 || dup2(null, 1) != 1 || dup2(null, 2) != 2)
        return false;
    return syscall(SYS_close_range, 4U, ~0U, 0) == 0;
}

/* Signals end this process, so that its parent sees which one: LibreOffice ignores some and handles others. */
static void restore_signals(void)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ, SIGTERM, SIGINT,
        SIGQUIT, SIGHUP, SIGALRM, SIGVTALRM, SIGPROF, SIGUSR1, SIGUSR2 };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static const char *confine(const struct task *task, const struct confinement *confinement)
{
    if (!limit_resources(&task->limits))
        return "limit resources";
    if (!confinement->wanted)
        return NULL;
    if (!drop_privileges())
        return "drop privileges";
    if (confinement->landlock
        && !confine_files(confinement->landlock, confinement->readable, confinement->readable_count, task->directory, task->source))
        return "confine files";
    return NULL;
}

static _Noreturn void fail(const char *what)
{
    char text[512];
    snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
    report(EXPLANATION, 0, text);
    _exit(NOT_CONFINED);
}

_Noreturn void child_main(struct office *office, const struct task *task, const struct confinement *confinement, int zygote)
{
    report_fd = task->report;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != zygote)
        fail("set the parent-death signal");
    restore_signals();
    umask(077);
    if (!enter(task->directory))
        fail("enter the directory");
    watch_memory();
    if (*task->font_rules)
        office_add_font_rules(task->font_rules); /* a file of the converter's own: the document is not open yet */
    const char *failed = confine(task, confinement); /* uses descriptors that the next line closes */
    if (failed)
        fail(failed);
    if (!keep_own_descriptors(task->report))
        fail("keep own descriptors");
    if (confinement->wanted && !confine_calls())
        fail("confine calls");
    if (docmill_probe && strcmp(task->conversion.format, "probe") == 0)
        _exit(docmill_probe(task->directory));

    struct conversion conversion = task->conversion;
    conversion.progress = report_progress;
    enum outcome outcome = office_convert(office, &conversion);
    if (outcome != CONVERTED)
        report(EXPLANATION, 0, office_error(office));
    _exit(outcome);
}
