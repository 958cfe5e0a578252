#include "packet.h"

#include <stdlib.h>
#include <string.h>

static uint64_t read_number(struct reader *r, unsigned size)
{
    if (r->bad || (size_t)(r->end - r->at) < size) {
        r->bad = true;
        return 0;
    }
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)r->at[i] << 8 * i;
    r->at += size;
    return value;
}

uint8_t read_u8(struct reader *r) { return (uint8_t)read_number(r, 1); }
uint32_t read_u32(struct reader *r) { return (uint32_t)read_number(r, 4); }
uint64_t read_u64(struct reader *r) { return read_number(r, 8); }

char *read_string(struct reader *r)
{
    size_t length = read_u32(r);
    if (r->bad || (size_t)(r->end - r->at) < length || memchr(r->at, 0, length)) {
        r->bad = true;
        length = 0;
    }
    char *value = malloc(length + 1);
    if (!value)
        abort();
    memcpy(value, r->at, length);
    value[length] = 0;
    r->at += length;
    return value;
}

bool read_all(const struct reader *r) { return !r->bad && r->at == r->end; }

static void write_number(struct writer *w, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size && w->length < sizeof w->bytes; i++)
        w->bytes[w->length++] = (uint8_t)(value >> 8 * i);
}

void write_u8(struct writer *w, uint8_t value) { write_number(w, value, 1); }
void write_u32(struct writer *w, uint32_t value) { write_number(w, value, 4); }
void write_u64(struct writer *w, uint64_t value) { write_number(w, value, 8); }

void write_string(struct writer *w, const char *value)
{
    size_t length = strlen(value), room = sizeof w->bytes - w->length;
    if (room < 4)
        return;
    if (length > room - 4)
        length = room - 4;
    write_u32(w, (uint32_t)length);
    memcpy(w->bytes + w->length, value, length);
    w->length += length;
}
