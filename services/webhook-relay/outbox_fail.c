/* outbox_fail.c - rows that could not be published: counted, put off, and at last parked.
 *
 * A row is at fault itself when nothing could ever take it (no such subject, too large), or when
 * another row of the same stream went through beside it. Any other failure may be the server's: the
 * row is parked only after it has been tried for a long time, and while NATS is away nothing is
 * counted at all.
 */
#include "outbox.h"

#include <stdlib.h>
#include <string.h>

void outbox_row_stream(struct outbox_row *row, const char *subject)
{
    const char *dot = strchr(subject, '.');
    size_t len = dot ? strcspn(dot + 1, ".") + (size_t)(dot + 1 - subject) : strlen(subject);

    if (len >= sizeof row->stream)
        len = sizeof row->stream - 1;
    memcpy(row->stream, subject, len);
    row->stream[len] = '\0';
}

static const char *reason(int err)
{
    switch (err) {
    case PAT_E2BIG:
        return "larger than NATS takes";
    case PAT_EINVAL:
        return "no subject or message for NATS";
    case PAT_EUNAVAIL:
        return "no stream takes this subject";
    case PAT_ETIMEDOUT:
        return "not acknowledged in time";
    default:
        return pat_err_text(err);
    }
}

/* The stream's own words, where it has said any. */
static bool servers_words(char *out, size_t cap, const struct pat_msg *m)
{
    PAT_AUTO_JSON j = NULL;
    const char *words;

    if (!m || !m->len || pat_json_parse(&j, m->data, m->len, NULL))
        return false;
    words = pat_json_str_or(j, "error.description", NULL);
    return words && pat_strcpy(out, cap, words);
}

void outbox_row_answered(struct outbox_row *row, int err, const struct pat_msg *m)
{
    row->err = err;
    row->fate = err ? ROW_FAILED : ROW_KEPT;
    if (err == PAT_EAGAIN || err == PAT_ENOMEM || err == PAT_ECANCELED)
        row->fate = ROW_WAITS; /* we, not the row */
    else if (err && !servers_words(row->why, sizeof row->why, m))
        (void)pat_strcpy(row->why, sizeof row->why, reason(err));
}

static bool at_fault(const struct outbox_row *row, const struct outbox_row *rows, size_t n)
{
    if (row->err == PAT_E2BIG || row->err == PAT_EINVAL)
        return true;
    for (size_t i = 0; i < n; i++)
        if (rows[i].fate == ROW_KEPT && !strcmp(rows[i].stream, row->stream))
            return true;
    return false;
}

/* [{"id","why","own"},...] */
static char *list_failed(const struct relay *r, const struct outbox_row *rows, size_t n,
                         size_t *failed)
{
    PAT_AUTO_JSON list = pat_json_arr();
    bool up = pat_bus_up(r->d->bus);

    for (size_t i = 0; i < n; i++) {
        bool own = rows[i].fate == ROW_FAILED && at_fault(&rows[i], rows, n);
        struct pat_json *one;

        if (rows[i].fate != ROW_FAILED || !(up || own))
            continue;
        one = pat_json_obj();
        pat_json_set_str(one, "id", rows[i].id.s);
        pat_json_set_str(one, "why", rows[i].why);
        pat_json_set_bool(one, "own", own);
        pat_json_add_take(list, one);
        ++*failed;
    }
    return pat_json_print(list);
}

/* 1 s, 2 s, 4 s ... 5 minutes; of two relays that failed with a row one counts. */
#define NOTE                                                                                        \
    "update patchbay.outbox o set attempts = o.attempts + 1, last_error = f.why, "                  \
    "next_attempt_at = now() + least(power(2, least(o.attempts, 20)), 300) * interval '1 second', " \
    "parked_at = case when o.attempts + 1 >= $2::integer "                                          \
    "and (f.own or o.created_at < now() - $3::bigint * interval '1 millisecond') then now() end "   \
    "from jsonb_to_recordset($1::jsonb) as f (id uuid, why text, own boolean) "                     \
    "where o.id = f.id and o.published_at is null and o.parked_at is null "                         \
    "and coalesce(o.next_attempt_at, now()) <= now() "                                              \
    "returning o.id, o.subject, o.attempts, o.last_error, o.parked_at is not null"

size_t outbox_fail_init(struct outbox_fail *f, const struct relay *r, const struct outbox_row *rows,
                        size_t n)
{
    size_t failed = 0;

    f->rows = list_failed(r, rows, n, &failed);
    (void)snprintf(f->tries, sizeof f->tries, "%lld", (long long)r->conf->outbox_tries);
    (void)snprintf(f->patience_ms, sizeof f->patience_ms, "%lld",
                   (long long)r->conf->outbox_patience_ms);
    f->params[0] = f->rows ? f->rows : "[]"; /* out of memory: they are tried again at once */
    f->params[1] = f->tries;
    f->params[2] = f->patience_ms;
    f->stmt = (struct pat_db_stmt){ "outbox_failed", NOTE, 3, f->params };
    return f->rows ? failed : 0;
}

void outbox_fail_fini(struct outbox_fail *f)
{
    free(f->rows);
}

/* The first failure and the last one: what lies between is in the row. */
void outbox_fail_log(const struct pat_db_result *noted)
{
    for (size_t i = 0; i < pat_db_rows(noted); i++) {
        const char *attempts = pat_db_value(noted, i, 2);
        bool parked = *pat_db_value(noted, i, 4) == 't';

        if (parked || !strcmp(attempts, "1"))
            pat_log(PAT_WARN, parked ? "outbox.parked" : "outbox.not_published",
                    PAT_S("id", pat_db_value(noted, i, 0)),
                    PAT_S("subject", pat_db_value(noted, i, 1)),
                    PAT_I("attempts", strtoll(attempts, NULL, 10)),
                    PAT_S("reason", pat_db_value(noted, i, 3)));
    }
}
