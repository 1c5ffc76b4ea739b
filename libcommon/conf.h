/* conf.h - configuration from the environment, described by one table per daemon.
 *
 * The table feeds everything: parsing, --help, --check-config, and the redacted start-up line.
 * NAME_FILE names a file that holds the value of NAME (a trailing newline is cut); setting both is
 * an error. A variable that is set to nothing counts as unset.
 *
 *   struct router_conf { char *public_url; int64_t listen_port; bool strict; };
 *   static const struct pat_conf_row rows[] = {
 *       PAT_CONF_ROW(struct router_conf, "PAT_ROUTER_LISTEN", PAT_CONF_ADDR, listen,
 * "127.0.0.1:8080", "..."),
 *   };
 */
#ifndef PAT_CONF_H
#define PAT_CONF_H

#include "buf.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum pat_conf_kind {
    PAT_CONF_STR,    /* char *, never NULL; empty when unset */
    PAT_CONF_SECRET, /* char *, shown as *** */
    PAT_CONF_URL,    /* char *, absolute, scheme checked by row.arg ("http,https"); trailing
                        slashes are cut; userinfo is redacted when shown */
    PAT_CONF_ADDR,   /* char *, where to listen: address:port, [v6]:port; port 0 = any free */
    PAT_CONF_INT,    /* int64_t, min..max */
    PAT_CONF_MS, /* int64_t milliseconds; accepts "250ms", "3s", "5m", "1h", or a bare number of ms
                  */
    PAT_CONF_BOOL, /* bool: true false 1 0 yes no on off */
    PAT_CONF_ENUM, /* char *, one of row.arg ("json,text") */
    PAT_CONF_LIST, /* char *, comma-separated, blanks trimmed, kept as text */
};

enum { PAT_CONF_REQUIRED = 1 };

struct pat_conf_row {
    const char *name;
    enum pat_conf_kind kind;
    size_t offset;   /* of the field in the daemon's struct */
    const char *def; /* NULL: unset */
    const char *help;
    const char *arg;  /* per kind */
    int64_t min, max; /* INT and MS; both 0: any */
    unsigned flags;
};

/* A row of a table: PAT_CONF_ROW(struct router_conf, "PAT_X", PAT_CONF_INT, x, "5", "what", .max =
 * 9). */
#define PAT_CONF_ROW(conf, env, what, field, value, text, ...)                                     \
    {                                                                                              \
        .name = env, .kind = what, .offset = offsetof(conf, field), .def = value, .help = text,    \
        __VA_ARGS__                                                                                \
    }

typedef const char *pat_conf_getenv_fn(const char *name, void *arg);

/* Fills out (zeroed by the caller) from the table. All faults are reported at once into errors, one
 * line each: "PAT_X: must be 1..65535, got \"foo\"" (secrets: the value is left out). PAT_EINVAL
 * when there was any; nothing in out needs freeing then. getenv_fn NULL: the process environment.
 */
int pat_conf_load(const struct pat_conf_row *rows, size_t n, void *out,
                  pat_conf_getenv_fn *getenv_fn, void *arg, struct pat_buf *errors) PAT_MUST_CHECK;
void pat_conf_free(const struct pat_conf_row *rows, size_t n, void *out);
/* Any PAT_* variable of the environment that no row knows, a space between them, for a
 * warning about misspellings. */
void pat_conf_unknown(const struct pat_conf_row *rows, size_t n, const char *prefix,
                      char **environ_, struct pat_buf *out);
void pat_conf_help(const struct pat_conf_row *rows, size_t n, FILE *to);
/* One log line "config" with every value, secrets and URL passwords redacted. */
void pat_conf_log(const struct pat_conf_row *rows, size_t n, const void *conf);

#endif
