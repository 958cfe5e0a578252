/* A process that converts one document and ends. */
#ifndef DOCMILL_CHILD_H
#define DOCMILL_CHILD_H

#include "office.h"
#include "sandbox.h"

struct task {
    struct conversion conversion;
    const char *directory, *source; /* paths */
    const char *font_rules; /* the path of a file of fontconfig, or empty */
    struct limits limits;
    int report; /* where records of progress and explanations go */
};

struct confinement {
    bool wanted;
    unsigned landlock;
    const int *readable;
    size_t readable_count;
};

/* Runs in a process that was just forked, and does not return. */
_Noreturn void child_main(struct office *office, const struct task *task, const struct confinement *confinement, int zygote);

#endif
