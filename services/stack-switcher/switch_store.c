/* switch_store.c - the saga's questions to Postgres: one statement, one JSON value back. */
#include "switch.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000

struct asked {
    switch_reply_fn *fn;
    void *arg;
    const char *name;
};

int switch_reply_read(struct pat_json **out, int err, const struct pat_db_result *const *results,
                      size_t n, const char *name)
{
    const char *text = !err && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    *out = NULL;
    if (err)
        pat_log(PAT_WARN, "switch.not_asked", PAT_S("question", name), PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    else if (text && pat_json_parse(out, text, strlen(text), NULL))
        err = PAT_EPROTO;
    return err;
}

static void on_rows(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct asked a = *(struct asked *)arg;
    PAT_AUTO_JSON reply = NULL;

    free(arg);
    err = switch_reply_read(&reply, err, results, n, a.name);
    a.fn(err, reply, a.arg);
}

int switch_ask(struct pat_db *db, const struct switch_query *q, switch_reply_fn *fn, void *arg)
{
    struct asked *a = malloc(sizeof *a);
    int err;

    if (!a)
        return PAT_ENOMEM;
    *a = (struct asked){ fn, arg, q->name };
    err = pat_db_run1(db, q->name, q->sql, q->params, q->n,
                      q->timeout_ms ? q->timeout_ms : TIMEOUT_MS, on_rows, a, NULL);
    if (err)
        free(a);
    return err;
}

int switch_request(struct pat_db *db, const char *op, const struct pat_json *p, bool admin,
                   switch_reply_fn *fn, void *arg)
{
    PAT_AUTO_STR text = pat_json_print(p);

    if (!text)
        return PAT_ENOMEM;
    return switch_ask(
        db,
        &(struct switch_query){ .name = "switch_ask",
                                .sql = "select patchbay.switch_ask($1, $2::jsonb, $3::boolean)",
                                .params = { op, text, admin ? "true" : "false" },
                                .n = 3 },
        fn, arg);
}

int switch_reply_err(const struct pat_json *reply)
{
    const char *error = reply ? pat_json_str_or(reply, "error", "") : "not_found";

    if (!*error)
        return PAT_OK;
    if (!strcmp(error, "forbidden"))
        return PAT_EPERM;
    return strcmp(error, "not_found") ? PAT_EEXIST : PAT_ENOENT;
}
