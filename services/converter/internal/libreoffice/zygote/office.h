/* The few functions of LibreOfficeKit that are needed, without its headers. */
#ifndef DOCMILL_OFFICE_H
#define DOCMILL_OFFICE_H

#include <stdbool.h>
#include <stddef.h>

struct office;
struct document;

/* Loads LibreOffice from its folder "program". Returns NULL and an explanation when that fails. */
struct office *office_load(const char *program, const char *profile_url, char *explanation, size_t room);

/* Runs LibreOffice's main loop on this thread, for ever. From inside it calls first warm_up, and then, once it has nothing left
 * to do, serve, which does not return but in a child. */
void office_run(struct office *office, void (*warm_up)(void), void (*serve)(void));

/* LibreOffice's version as JSON; the caller frees it. */
char *office_version(struct office *office);

/* LibreOffice's text on what went wrong last; never NULL, never freed. */
const char *office_error(struct office *office);

enum phase { LOADING = 1, SAVING = 2 };

/* How a conversion came out; also the exit status of a child. The values are those of package protocol. */
enum outcome {
    CONVERTED = 0,
    LOAD_FAILED = 10,
    PASSWORD_REQUIRED = 11,
    PASSWORD_WRONG = 12,
    SAVE_FAILED = 13,
    NO_OUTPUT = 14,
    OUT_OF_MEMORY = 15,
    NOT_CONFINED = 16,
};

/* Kinds of documents, from LibreOfficeKitEnums.h; text, spreadsheet, presentation and drawing are 0 to 3. */
enum { ANY_TYPE = 255 };

struct conversion {
    const char *source_url, *load_options, *password;
    const char *command; /* what to do with the document before it is written; may be empty */
    const char *target_url, *format, *save_options;
    int type; /* what kind it must be, or ANY_TYPE */
    bool has_password;
    /* Called with percentages as the work goes on; may be NULL. */
    void (*progress)(enum phase phase, int percent);
};

enum outcome office_convert(struct office *office, const struct conversion *conversion);

#endif
