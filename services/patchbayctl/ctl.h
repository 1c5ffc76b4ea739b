/* ctl.h - one run of patchbayctl: asks the API, waits for the answer, prints it.
 *
 * The only program of ours that waits: it has a loop for libcommon's HTTP client and runs it until
 * an answer is there. Thread: main's. Commands return an exit status (command.h).
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include "command.h"
#include "settings.h"

struct watching;

struct ctl {
    struct settings set;
    const char *server; /* of the settings, or --server */
    struct pat_loop *loop;
    struct pat_http *http;
    struct pat_poll *signals;
    int signal_fd;
    bool json;        /* print answers as they are, for programs */
    bool quiet;       /* refusals are not told */
    bool interrupted; /* Ctrl-C */
    bool tty, color;
};

/* ---- api.c ---- */

struct answer {
    int status; /* CTL_*: of the whole command, when it is not CTL_OK */
    struct pat_json *json;
    char *text; /* what is no JSON (CSV) */
};

int ctl_open(struct ctl *c) PAT_MUST_CHECK;
void ctl_close(struct ctl *c);
/* body is taken; NULL: none. headers: "Name: value", NULL-terminated, or NULL. A refusal has been
 * told on stderr when this returns. a is the caller's to answer_fini, always. */
int ctl_ask(struct ctl *c, const char *method, const char *path, struct pat_json *body_take,
            const char *const *headers, struct answer *a) PAT_MUST_CHECK;
void answer_fini(struct answer *a);
/* A stream of server-sent events: shown(picture) for each until it says true, or Ctrl-C. Connects
 * again where the connection breaks, from the last event on. CTL_OK, or why it ended. */
typedef bool ctl_event_fn(const struct pat_json *picture, void *arg);
int ctl_follow(struct ctl *c, const char *path, ctl_event_fn *shown, void *arg) PAT_MUST_CHECK;
/* Adds ?name=value or &name=value, encoded; nothing where value is NULL. */
void ctl_query(struct pat_buf *path, const char *name, const char *value);

/* ---- print.c ---- */

/* The whole, one line, where --json was given: true then. */
bool print_json(const struct ctl *c, const struct pat_json *j);
/* Rows of a list, as wide as they have to be. Columns end with a NULL title. */
struct column {
    const char *title, *path;
    int kind; /* COL_* */
};
enum { COL_TEXT, COL_TIME, COL_USD, COL_MS };
void print_table(const struct column *columns, const struct pat_json *list);
void print_field(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *print_bold(const struct ctl *c);
const char *print_plain(const struct ctl *c);
/* "####----  5/8  verify", over what stood there on a terminal; a line where the text has changed
 * elsewhere. last: of the caller, at first "". */
struct bar {
    char last[160];
};
void print_bar(const struct ctl *c, struct bar *b, int64_t done, int64_t of, const char *text);
void print_bar_end(const struct ctl *c, struct bar *b);

/* ---- the commands: switches.c, bulk.c, charges.c, look.c ---- */

int cmd_switch(struct ctl *c, const struct args *a);
int cmd_plan(struct ctl *c, const struct args *a);
int cmd_status(struct ctl *c, const struct args *a);
int cmd_wish(struct ctl *c, const struct args *a); /* promote, abort, rollback */
int cmd_bulk_start(struct ctl *c, const struct args *a);
int cmd_bulk_list(struct ctl *c, const struct args *a);
int cmd_bulk_status(struct ctl *c, const struct args *a);
int cmd_bulk_report(struct ctl *c, const struct args *a);
int cmd_bulk_wish(struct ctl *c, const struct args *a);
int cmd_calls(struct ctl *c, const struct args *a);
int cmd_explain(struct ctl *c, const struct args *a);
int cmd_health(struct ctl *c, const struct args *a);
int cmd_replay_delivery(struct ctl *c, const struct args *a);
int cmd_replay_endpoint(struct ctl *c, const struct args *a);
int cmd_retail(struct ctl *c, const struct args *a);
int cmd_retail_add(struct ctl *c, const struct args *a);
int cmd_retail_drop(struct ctl *c, const struct args *a);
int cmd_tier(struct ctl *c, const struct args *a);
int cmd_usage(struct ctl *c, const struct args *a);
int cmd_users(struct ctl *c, const struct args *a);
int cmd_version(struct ctl *c, const struct args *a);
int cmd_completion(struct ctl *c, const struct args *a);
int cmd_man(struct ctl *c, const struct args *a);

/* An id as it is; else the one user whose name, address or number it is part of. On failure told.
 */
int find_user(struct ctl *c, const char *who, char id[PAT_ID_LEN + 1]) PAT_MUST_CHECK;

#endif
