/*
 * The few functions of LibreOfficeKit that are needed. Its headers (Debian's libreofficekit-dev) are not used, so that
 * a build does not need LibreOffice: office.c declares the tables of functions as LibreOfficeKit.h of LibreOffice 7.4
 * has them.
 */
#ifndef DOCMILL_OFFICE_H
#define DOCMILL_OFFICE_H

#include <stdbool.h>
#include <stddef.h>

struct office;
struct document;

/* Loads LibreOffice from its directory "program". If that fails, returns NULL and sets explanation. */
struct office *office_load(const char *program, const char *profile_url, char *explanation, size_t room);

/* Runs LibreOffice's main loop on this thread, forever. It calls warm_up first, and then, once the loop is idle, serve, which
 * must not return. */
void office_run(struct office *office, void (*warm_up)(void), void (*serve)(void));

/* LibreOffice's version as JSON; the caller frees it. */
char *office_version(struct office *office);

/* LibreOffice's last error message; never NULL, never freed. */
const char *office_error(struct office *office);

/*
 * Adds the rules in a file of fontconfig after those that LibreOffice has loaded, for this process. Fonts that were chosen before,
 * for the warm-up documents, stay as they are. Without the file, nothing changes.
 */
void office_add_font_rules(const char *path);

enum phase { LOADING = 1, SAVING = 2 };

/* The outcome of a conversion; also the exit status of a child. The values are those of package wire. */
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
    const char *command; /* to run on the document before it is written; may be empty */
    const char *target_url, *format, *save_options;
    int type; /* the required kind, or ANY_TYPE */
    bool has_password;
    /* Called with percentages as the work goes on; may be NULL. */
    void (*progress)(enum phase phase, int percent);
};

enum outcome office_convert(struct office *office, const struct conversion *conversion);

#endif
