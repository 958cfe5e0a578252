#define _GNU_SOURCE
#include "office.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The tables of functions as in LibreOfficeKit.h: each begins with its size, and new functions are only added at the
 * end. These parts are the same in LibreOffice 7.4 and 25.2.
 */
typedef void (*event_callback)(int type, const char *payload, void *data);

struct office_functions {
    size_t size;
    void (*destroy)(struct office *);
    struct document *(*load)(struct office *, const char *url);
    char *(*error)(struct office *);
    struct document *(*load_with_options)(struct office *, const char *url, const char *options);
    void (*free_error)(char *);
    void (*on_event)(struct office *, event_callback, void *data);
    char *(*filter_types)(struct office *);
    void (*set_features)(struct office *, unsigned long long features);
    void (*set_password)(struct office *, const char *url, const char *password);
    char *(*version)(struct office *);
    int (*run_macro)(struct office *, const char *url);
    bool (*sign)(struct office *, const char *, const unsigned char *, int, const unsigned char *, int);
    void (*run)(struct office *, int (*poll)(void *data, int timeout_us), void (*wake)(void *data), void *data);
};

struct document_functions {
    size_t size;
    void (*destroy)(struct document *);
    int (*save)(struct document *, const char *url, const char *format, const char *options);
    int (*type)(struct document *);
    void (*unused[13])(void); /* from getParts to postMouseEvent */
    void (*command)(struct document *, const char *command, const char *arguments, bool notify);
};

struct office {
    struct office_functions *call;
};

struct document {
    struct document_functions *call;
};

/* From LibreOfficeKitEnums.h. */
enum { FEATURE_DOCUMENT_PASSWORD = 1 };
enum { EVENT_PROGRESS = 10, EVENT_PASSWORD = 20, EVENT_PASSWORD_TO_MODIFY = 21 };

typedef struct office *hook(const char *program, const char *profile_url);

static void (*set_kit_active)(bool active);

/* Those of fontconfig, which LibreOffice's libraries are linked with. */
static struct {
    void *(*current)(void);
    int (*load)(void *config, const char *path, int complain);
} fontconfig;

/*
 * Replaces the C library's function in every program with this package, for LibreOffice's libraries too: the program comes
 * first in the search for a symbol. liblangtag calls it for each error, and LibreOfficeKit causes one for each document that
 * is loaded without a language. Looking up the names of functions, which nobody sees, took 6 % of the time of a short text.
 */
char **backtrace_symbols(void *const *addresses, int count)
{
    (void)addresses;
    char **names = malloc((size_t)count * sizeof *names + 1);
    for (int i = 0; names && i < count; i++)
        names[i] = "";
    return names;
}

struct text; /* rtl_uString */

/*
 * LibreOffice 25.2 looks for its files beside the program that it was loaded from, regardless of the environment, which
 * 7.4 obeys.
 */
static void use_installation(void *library)
{
    static const char variable[] = "BRAND_BASE_DIR";
    void (*make)(struct text **, const char *) = (void (*)(struct text **, const char *))dlsym(library, "rtl_uString_newFromAscii");
    void (*set)(struct text *, struct text *) = (void (*)(struct text *, struct text *))dlsym(library, "rtl_bootstrap_set");
    const char *url = getenv(variable);
    if (!make || !set || !url)
        return;
    struct text *name = NULL, *value = NULL;
    make(&name, variable);
    make(&value, url);
    set(name, value);
}

/* Like lok_init_2: the entry point is in libsofficeapp.so, or in libmergedlo.so if that is a stub or missing. */
static hook *find_hook(const char *program, void **library, char *explanation, size_t room)
{
    static const char *const libraries[] = { "libsofficeapp.so", "libmergedlo.so" };
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        char *path;
        if (asprintf(&path, "%s/%s", program, libraries[i]) < 0)
            abort();
        *library = dlopen(path, RTLD_LAZY);
        free(path);
        if (!*library) {
            snprintf(explanation, room, "%s", dlerror());
            continue;
        }
        hook *found = (hook *)dlsym(*library, "libreofficekit_hook_2");
        if (found) {
            /* comphelper::LibreOfficeKit::setActive(bool) */
            set_kit_active = (void (*)(bool))dlsym(*library, "_ZN10comphelper14LibreOfficeKit9setActiveEb");
            fontconfig.current = (void *(*)(void))dlsym(*library, "FcConfigGetCurrent");
            fontconfig.load = (int (*)(void *, const char *, int))dlsym(*library, "FcConfigParseAndLoad");
            return found;
        }
        snprintf(explanation, room, "%s/%s has no libreofficekit_hook_2: it is older than LibreOffice 5.0", program, libraries[i]);
    }
    return NULL;
}

struct office *office_load(const char *program, const char *profile_url, char *explanation, size_t room)
{
    void *library;
    hook *start = find_hook(program, &library, explanation, room);
    if (!start)
        return NULL;
    struct office *office = start(program, profile_url);
    if (!office) {
        snprintf(explanation, room, "LibreOffice in %s did not start", program);
        return NULL;
    }
    if (office->call->size < sizeof *office->call) {
        snprintf(explanation, room, "LibreOffice in %s is too old: its LibreOfficeKit has too few functions", program);
        return NULL;
    }
    use_installation(library);
    office->call->set_features(office, FEATURE_DOCUMENT_PASSWORD);
    return office;
}

static struct {
    void (*warm_up)(void), (*serve)(void);
} steps;

/*
 * LibreOffice calls this from its main loop whenever it is idle, and again from inside load and save: hence the guard.
 * The first two times its own start is not finished. After the warm-up it still has work (layouts of the warm-up
 * documents, timers): what is not done before the first fork, every child would do again. It is never without work, because
 * timers of open documents repeat every 50 to 150 ms: once around, for 120 ms, is enough. Waiting for 5 s did not save any
 * processor time in 100 conversions.
 */
static int on_idle(void *data, int timeout_us)
{
    (void)data;
    enum { LONG_PAUSE_US = 100 * 1000, SHORT_PAUSE_US = 5 * 1000, MAX_PAUSES = 24 };
    static int calls, pauses;
    static bool inside, warm;
    if (inside || ++calls < 3)
        return 0;
    if (!warm) {
        inside = true;
        steps.warm_up();
        inside = false;
        warm = true;
        return 0;
    }
    if (timeout_us >= 0 && timeout_us < LONG_PAUSE_US && pauses++ < MAX_PAUSES) {
        usleep((useconds_t)(timeout_us < SHORT_PAUSE_US ? timeout_us : SHORT_PAUSE_US));
        return 0;
    }
    inside = true;
    steps.serve();
    return 0;
}

static void on_wake(void *data) { (void)data; }

void office_run(struct office *office, void (*warm_up)(void), void (*serve)(void))
{
    steps.warm_up = warm_up, steps.serve = serve;
    office->call->run(office, on_idle, on_wake, &steps); /* it does not call on_idle if data is NULL */
}

char *office_version(struct office *office) { return office->call->version(office); }

const char *office_error(struct office *office)
{
    const char *text = office->call->error(office);
    return text ? text : "";
}

void office_add_font_rules(const char *path)
{
    if (fontconfig.current && fontconfig.load)
        fontconfig.load(fontconfig.current(), path, false);
}

struct watch {
    struct office *office;
    const struct conversion *conversion;
    enum phase phase;
    int password_requests;
};

static void on_event(int type, const char *payload, void *data)
{
    struct watch *watch = data;
    switch (type) {
    case EVENT_PROGRESS:
        if (watch->conversion->progress && payload)
            watch->conversion->progress(watch->phase, atoi(payload));
        break;
    case EVENT_PASSWORD:
    case EVENT_PASSWORD_TO_MODIFY: {
        /*
         * It asks again after a wrong password, until it gets none. The password belongs to the URL that was opened;
         * the payload is that for most filters, but only the file's name for Word's, and an unknown URL is a crash.
         */
        bool first = watch->password_requests++ == 0;
        watch->office->call->set_password(watch->office, watch->conversion->source_url,
            first && watch->conversion->has_password ? watch->conversion->password : NULL);
        break;
    }
    }
}

static enum outcome load_failure(const struct watch *watch)
{
    if (watch->password_requests == 0)
        return LOAD_FAILED;
    return watch->conversion->has_password ? PASSWORD_WRONG : PASSWORD_REQUIRED;
}

/* Only test binaries that import package probe define it, for a process that converts many documents itself. */
__attribute__((weak)) bool docmill_destroys(const char *target_url);

enum outcome office_convert(struct office *office, const struct conversion *conversion)
{
    struct watch watch = { .office = office, .conversion = conversion, .phase = LOADING };
    office->call->on_event(office, on_event, &watch);
    if (conversion->progress)
        conversion->progress(LOADING, 0);
    struct document *document = office->call->load_with_options(office, conversion->source_url, conversion->load_options);
    enum outcome outcome = CONVERTED;
    if (!document) {
        outcome = load_failure(&watch);
    } else if (conversion->type != ANY_TYPE && document->call->type(document) != conversion->type) {
        outcome = LOAD_FAILED; /* opened as a text, as LibreOffice does with unknown content */
    } else {
        if (*conversion->command)
            document->call->command(document, conversion->command, NULL, false);
        watch.phase = SAVING;
        if (conversion->progress)
            conversion->progress(SAVING, 0);
        /*
         * While it saves, it must not act as a kit for editors: a kit draws for the tiles of an editor, and does not
         * clip images and charts in a spreadsheet at the edges of a page.
         */
        if (set_kit_active)
            set_kit_active(false);
        if (!document->call->save(document, conversion->target_url, conversion->format,
                *conversion->save_options ? conversion->save_options : NULL))
            outcome = SAVE_FAILED;
        if (set_kit_active)
            set_kit_active(true);
    }
    office->call->on_event(office, NULL, NULL);
    /* The document is not destroyed: in a child that would be useless work, and in the zygote its modules stay warm. */
    if (document && docmill_destroys && docmill_destroys(conversion->target_url))
        document->call->destroy(document);
    return outcome;
}
