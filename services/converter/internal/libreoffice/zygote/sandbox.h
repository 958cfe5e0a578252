/* What a child may do is taken from it before it opens a document. Nothing here needs a privilege. */
#ifndef DOCMILL_SANDBOX_H
#define DOCMILL_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kernel's version of Landlock, or 0 without it. */
unsigned landlock_version(void);

struct limits {
    uint64_t memory;     /* bytes of memory beyond what it was born with */
    uint64_t file_size;  /* bytes of the largest file */
    uint32_t cpu;        /* seconds of processor time, all threads together */
    uint32_t open_files;
};

/* Resource limits, no core dumps, lowest priority but one, first to go when the machine runs out of memory. */
bool limit_resources(const struct limits *limits);

/* No capabilities, and none to be gained by running another program. */
bool drop_privileges(void);

/* Files: what lies below readable (descriptors of paths) can be read, the folder be written, the source be read. Network and
 * signals to others too, where the kernel's version can. */
bool confine_files(unsigned version, const int *readable, size_t count, const char *folder, const char *source);

/* System calls: only those on the list. */
bool confine_calls(void);

#endif
