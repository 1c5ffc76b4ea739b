/* routes.h - who serves which number: a copy of patchbay.routes and the agents' settings, in
 * memory.
 *
 * Loaded before the router is ready (or, with Postgres away, read from the snapshot file, which the
 * last state is written to): until then requests wait. Changed rows are fetched when Postgres
 * (NOTIFY patchbay_outbox) or NATS (pat.config.v1.changed.>) says so, whichever is first; after
 * every reconnect, and once a minute, everything is fetched again. Fetches run one after the other,
 * so what is applied is never older than what was known; a row with an older version is ignored all
 * the same (a lagging replica).
 */
#ifndef ROUTER_ROUTES_H
#define ROUTER_ROUTES_H

#include "policy.h"

struct retell_agent {
    char id[129];    /* "": none */
    int64_t version; /* published, to be pinned; -1: Retell's newest */
};

/* Borrowed until the loop's next turn, or seven others were found. */
struct route {
    char number[NUMBER_MAX];
    char user[PAT_ID_LEN + 1];
    char agent_config[PAT_ID_LEN + 1]; /* "" when the user has none */
    struct retell_agent retell_agent;
    enum stack stack;
    bool active;     /* number, agent and account */
    bool on_livekit; /* may be served there: own stack, or stack_config names it */
    int share;       /* of 100 new calls so many go to the other stack (share.h); 0: none */
    int64_t version;
    const struct policies *policies; /* never NULL */
    const char *settings; /* row of patchbay.agent_settings as JSON; NULL when there is none */
};

int routes_new(struct routes **out, struct pat_daemon *d, const char *snapshot_file) PAT_MUST_CHECK;
void routes_free(struct routes *r);
/* Postgres has told all of it, since the start. Before that a number that is not found may be
 * somebody's, and what is found is the snapshot's word. */
bool routes_loaded(const struct routes *r);
/* fn runs once, on the loop: the numbers are loaded, or waiting for them longer is worse than what
 * there is. */
void routes_on_settled(struct routes *r, pat_loop_fn *fn, void *arg);
/* NULL: nobody's number. */
const struct route *routes_find(const struct routes *r, const char *number);
/* Is it anybody's? Cheaper than finding it. */
bool routes_has(const struct routes *r, const char *number);
size_t routes_count(const struct routes *r);
/* The version this user's calls are routed by; INT64_MAX: no number of his is known; 0: not yet
 * known, rows are on their way. */
int64_t routes_user_version(const struct routes *r, const char *user);
/* Fetches this user's rows (again). */
void routes_want(struct routes *r, const char *user);
/* fn (NULL: nobody) runs when rows were applied: of this user, with the version; user NULL: all. */
typedef void routes_applied_fn(const char *user, int64_t version, void *arg);
void routes_on_applied(struct routes *r, routes_applied_fn *fn, void *arg);

/* The cache itself, apart from where the rows come from: for routes_load.c and tests. */
struct routes_table;
int routes_table_new(struct routes_table **out) PAT_MUST_CHECK;
void routes_table_free(struct routes_table *t);
const struct route *routes_table_find(struct routes_table *t, const char *number);
bool routes_table_has(const struct routes_table *t, const char *number);
size_t routes_table_count(const struct routes_table *t);
int64_t routes_table_user_version(const struct routes_table *t, const char *user);
/* One row as the snapshot and the query give it:
 * {"number","user_id","agent_config_id","stack","retell_agent_id",
 * "retell_agent_version","is_active","version","share","settings":{...}|null,"policies":{...}|null}.
 * Takes row over. Marks it as seen. PAT_ESTALE: an older version than the one known. */
int routes_table_put(struct routes_table *t, struct pat_json *row_take);
/* Drops the rows of this user (NULL: of all) not seen since the last call of this kind for them. */
void routes_table_drop_unseen(struct routes_table *t, const char *user);
void routes_table_unsee(struct routes_table *t, const char *user);
/* Some rows from *at (0 at first) on, one a line, until routes_table_printed. What is put or
 * dropped meanwhile may be missing or come twice. */
int routes_table_print(struct routes_table *t, size_t *at, size_t rows,
                       struct pat_buf *out) PAT_MUST_CHECK;
bool routes_table_printed(const struct routes_table *t, size_t at);

#endif
