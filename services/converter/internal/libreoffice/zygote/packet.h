/* The packets between the converter and the zygote. Package wire documents them and is the other end. */
#ifndef DOCMILL_PACKET_H
#define DOCMILL_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROTOCOL_VERSION = 3, MAX_PACKET = 64 << 10 };

enum packet { CONFIGURE = 1, CONVERT = 2, KILL = 3, HELLO = 65, STARTED = 66, DONE = 67, REFUSED = 68, FAULT = 69 };

/* A packet that is being read. The first missing field makes it bad permanently. */
struct reader {
    const uint8_t *at, *end;
    bool bad;
};

uint8_t read_u8(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
/* Returns a copy of a string, which the caller frees; "" if the packet is bad. */
char *read_string(struct reader *r);
/* Reports whether all of the packet was read, and none of it was bad. */
bool read_all(const struct reader *r);

/* A packet that is being written; what does not fit is truncated. */
struct writer {
    uint8_t bytes[4096];
    size_t length;
};

void write_u8(struct writer *w, uint8_t value);
void write_u32(struct writer *w, uint32_t value);
void write_u64(struct writer *w, uint64_t value);
void write_string(struct writer *w, const char *value);

#endif
