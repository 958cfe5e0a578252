/* Restrictions of a child, set before it opens a document. None of them needs a privilege. */
#ifndef DOCMILL_SANDBOX_H
#define DOCMILL_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Returns the kernel's version of Landlock, or 0 without it. */
unsigned landlock_version(void);

struct limits {
    uint64_t memory;     /* bytes of memory beyond those at the fork */
    uint64_t file_size;  /* bytes of the largest file */
    uint32_t cpu;        /* seconds of processor time, all threads together */
    uint32_t open_files;
};

/*
 * Sets resource limits: no core dumps, a low priority, and the first to be killed when the machine runs out of memory.
 */
bool limit_resources(const struct limits *limits);

/* Drops all capabilities, and the possibility to gain any by running another program. */
bool drop_privileges(void);

/*
 * Restricts files to those below readable (descriptors of paths), which can be read, the directory, which can be
 * written, and the source, which can be read. Also restricts network and signals to other processes, if the kernel's
 * version can.
 */
bool confine_files(unsigned version, const int *readable, size_t count, const char *directory, const char *source);

/* Restricts system calls to those on a list. */
bool confine_calls(void);

#endif
