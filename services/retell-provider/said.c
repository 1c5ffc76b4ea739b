/* said.c - what was said in a call before: see said.h. */
#include "said.h"

#include "look.h"

#include <stdlib.h>
#include <string.h>

enum { DB_MS = 600, LOOK_MS = 800 };

struct asking {
    struct provider *p;
    int waiting; /* for so many answers */
    struct pat_json *told, *looked;
    said_fn *fn;
    void *arg;
};

/* Its webhook may have come already: then Postgres has these turns too. */
static bool has(const struct pat_json *list, const char *text)
{
    for (size_t i = 0; i < pat_json_size(list); i++)
        if (!strcmp(pat_json_str_or(pat_json_item(list, i), "content", ""), text))
            return true;
    return false;
}

static void join(struct pat_json *all, const struct pat_json *more)
{
    size_t n = more && pat_json_kind(more) == PAT_JSON_ARR ? pat_json_size(more) : 0;

    if (n && has(all, pat_json_str_or(pat_json_item(more, n - 1), "content", "")))
        return;
    for (size_t i = 0; i < n; i++)
        pat_json_add_take(all, pat_json_dup(pat_json_item(more, i)));
}

static void one_answer_less(struct asking *a)
{
    const struct pat_json *told = pat_json_at(a->told, "said");
    PAT_AUTO_JSON all = NULL;
    struct pat_buf text;

    if (--a->waiting)
        return;
    all = told ? pat_json_dup(told) : pat_json_arr();
    join(all, pat_json_at(a->looked, "transcript_object"));
    pat_buf_init(&text, 2 * SAID_MAX);
    if (pat_cut_off_said(all, SAID_MAX, &text))
        pat_log(PAT_WARN, "retell.said_unknown", PAT_ERR(text.err));
    a->fn(text.len && !text.err ? text.data : "", pat_json_str_or(a->told, "language", NULL),
          a->arg);
    pat_buf_fini(&text);
    pat_json_free(a->told);
    pat_json_free(a->looked);
    free(a);
}

/* The one value of an answer; NULL: there is none. */
static struct pat_json *value_of(int err, const struct pat_db_result *const *results, size_t n)
{
    const char *text = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    struct pat_json *j;

    if (err)
        pat_log(PAT_WARN, "retell.said_unknown", PAT_ERR(err));
    return text && !pat_json_parse(&j, text, strlen(text), NULL) ? j : NULL;
}

static void on_told(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct asking *a = arg;

    a->told = value_of(err, results, n);
    one_answer_less(a);
}

static void on_redacted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct asking *a = arg;

    a->looked = value_of(err, results, n);
    one_answer_less(a);
}

/* What Retell has kept is as it was spoken, passcodes too: nobody hears of it before those are out
 * of it. */
static void on_looked(int err, const struct pat_json *call, void *arg)
{
    struct asking *a = arg;
    PAT_AUTO_STR text = err ? NULL : pat_json_print(call);
    const char *params[] = { text };

    if (!text || pat_db_run1(a->p->d->db, "retell_redacted",
                             "select patchbay.retell_redacted(jsonb_build_object('call', "
                             "$1::jsonb)) -> 'call'",
                             params, 1, DB_MS, on_redacted, a, NULL))
        one_answer_less(a);
}

int said_ask(struct provider *p, const struct said_of *of, said_fn *fn, void *arg)
{
    const char *params[] = { of->call, of->user };
    struct asking *a = calloc(1, sizeof *a);

    if (!a)
        return PAT_ENOMEM;
    a->p = p;
    a->fn = fn;
    a->arg = arg;
    if (!pat_db_run1(p->d->db, "call_said", "select patchbay.call_said($1::uuid, $2::uuid)", params,
                     2, DB_MS, on_told, a, NULL))
        a->waiting++;
    if (of->retell_call && !look_call(p, of->retell_call, LOOK_MS, on_looked, a))
        a->waiting++;
    if (a->waiting)
        return PAT_OK;
    free(a);
    return PAT_EUNAVAIL;
}
