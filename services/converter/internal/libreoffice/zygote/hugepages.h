/* Huge pages for memory that all children share. */
#ifndef DOCMILL_HUGEPAGES_H
#define DOCMILL_HUGEPAGES_H

/*
 * Moves the heap, from an address on, into huge pages. Where that is impossible, on Linux before 6.1 or without enough
 * contiguous memory, small pages remain, which are only slower.
 */
void collapse_heap(char *start);

/* Does the same with the machine code of LibreOffice's libraries. No other thread may be running. */
void collapse_libraries(void);

#endif
