/* reconcile_messages.c - recordings at the carrier that no callback told of: those the static
 * fallback document took while we were away, and those whose callback was lost.
 *
 * Goes through the carrier's list from the newest on, until what was seen the last time. A call we
 * do not know is made from what the carrier says of it; its id, and that of each of its events, is
 * made from the carrier's ids, so two routers, or one that died and begins again, tell it once.
 */
#include "reconcile.h"

#include "record.h"
#include "rest.h"
#include "routes.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MS = 8000, LOOK_MS = 5000, DB_MS = 5000, PAGES_MAX = 20, MESSAGES_MAX = 100 };
/* A file may appear long after its time. One younger than a round may still be told of. */
#define OVERLAP_MS (3600 * 1000LL)
#define FIRST_MS   (24 * 3600 * 1000LL)

struct message {
    char sid[CALLREF_ID_MAX + 1], call_sid[CALLREF_ID_MAX + 1];
    char url[512];
    int64_t at_ms, length_ms;
    struct callref ref; /* call "" : not known to us */
    bool known;
};

struct sweep {
    struct router *r;
    int64_t seen_ms, began_ms;
    struct message *list;
    size_t n, at;
    char *next;
    int pages;
    bool whole; /* everything that was found has been dealt with */
    pat_loop_fn *done;
    void *arg;
};

static void on_saved(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct sweep *s = arg;
    pat_loop_fn *fn = s->done;
    void *fn_arg = s->arg;

    (void)results, (void)n;
    if (err)
        pat_log(PAT_WARN, "reconcile.messages", PAT_ERR(err));
    free(s->list);
    free(s->next);
    free(s);
    fn(fn_arg);
}

/* What was not dealt with is found again: the mark stays where it was. */
static void finish(struct sweep *s)
{
    char seen[32];
    const char *params[] = { seen };

    snprintf(seen, sizeof seen, "%lld", (long long)(s->whole ? s->began_ms : s->seen_ms));
    if (pat_db_run1(s->r->d->db, "messages_seen",
                    "update patchbay.chores set state = jsonb_build_object('seen_ms', $1::bigint) "
                    "where name = 'router.messages'",
                    params, 1, DB_MS, on_saved, s, NULL))
        on_saved(PAT_EUNAVAIL, NULL, 0, s);
}

static void next_page(struct sweep *s);
static void next_message(struct sweep *s);

/* ------------------------------------------------------------------ one message */

static void tell(struct sweep *s, const struct message *m)
{
    struct record_message told = { .recording = m->sid, .url = m->url, .length_ms = m->length_ms };

    pat_log(PAT_WARN, "voicemail.found", PAT_S("call", m->ref.call.s), PAT_S("recording", m->sid),
            PAT_B("call_known", m->known));
    reconcile_count(s->r, "message", m->known ? "callback_lost" : "call_unknown");
    if (!m->known)
        record_found(s->r, &m->ref);
    record_voicemail(s->r, &m->ref, &told);
    record_ended(s->r, &m->ref,
                 &(struct record_end){ .reason = "voicemail",
                                       .talk_ms = m->length_ms,
                                       .at_ms = m->at_ms + (m->length_ms > 0 ? m->length_ms : 0) });
}

/* Whose was it? A call to a number that is nobody's is nobody's message. */
static bool make_ref(struct sweep *s, struct message *m, const struct pat_json *j)
{
    char to[NUMBER_MAX], from[NUMBER_MAX];
    const struct route *route = NULL;
    int64_t began_ms = lifecycle_time_ms(pat_json_str_or(j, "start_time", NULL));

    if (!number_read(to, pat_json_str_or(j, "to", "")))
        route = routes_find(s->r->routes, to);
    if (!route)
        return false;
    if (number_read(from, pat_json_str_or(j, "from", "")))
        from[0] = 0;
    m->ref.call = pat_event_id_once(m->call_sid, "call");
    m->ref.offered_ms = began_ms ? began_ms : m->at_ms;
    m->ref.config_version = route->version;
    pat_strcpy(m->ref.carrier_call, sizeof m->ref.carrier_call, m->call_sid);
    pat_strcpy(m->ref.user, sizeof m->ref.user, route->user);
    pat_strcpy(m->ref.agent_config, sizeof m->ref.agent_config, route->agent_config);
    pat_strcpy(m->ref.from, sizeof m->ref.from, from);
    pat_strcpy(m->ref.to, sizeof m->ref.to, to);
    return true;
}

static void on_call(int err, const struct pat_json *j, void *arg)
{
    struct sweep *s = arg;
    struct message *m = &s->list[s->at++];

    if (err && err != PAT_ENOENT)
        s->whole = false;
    if (!err && make_ref(s, m, j))
        tell(s, m);
    next_message(s);
}

static void next_message(struct sweep *s)
{
    while (s->at < s->n) {
        struct message *m = &s->list[s->at];

        if (m->known) {
            tell(s, m);
        } else if (*m->call_sid) {
            if (!rest_look(s->r, m->call_sid, LOOK_MS, on_call, s))
                return;
            s->whole = false;
        }
        s->at++;
    }
    next_page(s);
}

/* ------------------------------------------------------------------ a page of the list */

static void read_row(struct sweep *s, const struct pat_db_result *rows, size_t i)
{
    struct message *m = &s->list[strtoul(pat_db_get(rows, i, "n"), NULL, 10)];
    struct lifecycle_call c;

    if (pat_db_get(rows, i, "have"))
        m->call_sid[0] = 0; /* dealt with long since */
    if (!pat_db_get(rows, i, "id") || lifecycle_read(&c, rows, i))
        return;
    m->ref = c.ref;
    m->known = *m->call_sid;
}

static void on_known(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct sweep *s = arg;

    (void)n;
    if (err) {
        s->whole = false;
        finish(s);
        return;
    }
    for (size_t i = 0; i < pat_db_rows(results[0]); i++)
        read_row(s, results[0], i);
    s->at = 0;
    next_message(s);
}

static int ask_known(struct sweep *s)
{
    PAT_AUTO_JSON list = pat_json_arr();
    PAT_AUTO_STR text = NULL;
    const char *params[1];

    for (size_t i = 0; i < s->n; i++) {
        struct pat_json *o = pat_json_obj();
        char name[RECORD_NAME_MAX];

        record_message_name(s->list[i].call_sid, s->list[i].sid, name);
        pat_json_set_int(o, "n", (int64_t)i);
        pat_json_set_str(o, "call_sid", s->list[i].call_sid);
        pat_json_set_str(o, "name", name);
        pat_json_add_take(list, o);
    }
    text = pat_json_print(list);
    params[0] = text;
    if (!text)
        return PAT_ENOMEM;
    return pat_db_run1(s->r->d->db, "known_messages",
                       "select * from patchbay.known_messages($1::jsonb)", params, 1, DB_MS,
                       on_known, s, NULL);
}

static int64_t seconds_of(const struct pat_json *j)
{
    const char *text = pat_json_str_or(j, "duration", NULL);

    return text ? strtoll(text, NULL, 10) : pat_json_int_or(j, "duration", -1);
}

static void read_message(struct sweep *s, const struct pat_json *j)
{
    const char *status = pat_json_str_or(j, "status", "completed");
    const char *uri = pat_json_str_or(j, "uri", "");
    struct message *m = &s->list[s->n];
    int64_t seconds = seconds_of(j);
    size_t len;

    memset(m, 0, sizeof *m);
    m->at_ms = lifecycle_time_ms(pat_json_str_or(j, "date_created", NULL));
    m->length_ms = seconds < 0 ? -1 : seconds * 1000;
    if (strcmp(status, "completed") || !m->at_ms ||
        pat_unix_ms() - m->at_ms < s->r->conf->chores_ms || *uri != '/' || uri[1] == '/' ||
        !pat_strcpy(m->sid, sizeof m->sid, pat_json_str_or(j, "sid", "")) || !*m->sid ||
        !pat_strcpy(m->call_sid, sizeof m->call_sid, pat_json_str_or(j, "call_sid", "")))
        return;
    len = strlen(uri);
    if (len > 5 && !strcmp(uri + len - 5, ".json"))
        len -= 5;
    if ((size_t)snprintf(m->url, sizeof m->url, "%s%.*s.wav", s->r->conf->carrier_url, (int)len,
                         uri) < sizeof m->url)
        s->n++;
}

static void on_list(int err, const struct pat_json *j, void *arg)
{
    struct sweep *s = arg;
    const struct pat_json *list = err ? NULL : pat_json_at(j, "recordings");
    const char *next = err ? NULL : pat_json_str_or(j, "next_page_uri", NULL);
    int64_t oldest_ms = INT64_MAX;

    s->pages++;
    s->n = 0;
    for (size_t i = 0; i < pat_json_size(list) && s->n < MESSAGES_MAX; i++) {
        const struct pat_json *o = pat_json_item(list, i);
        int64_t at_ms = lifecycle_time_ms(pat_json_str_or(o, "date_created", NULL));

        oldest_ms = at_ms && at_ms < oldest_ms ? at_ms : oldest_ms;
        read_message(s, o);
    }
    if (next && *next && oldest_ms > s->seen_ms - OVERLAP_MS)
        s->next = strdup(next);
    if (!err && !s->n) {
        next_page(s);
        return;
    }
    if (!err)
        err = ask_known(s);
    if (err) {
        s->whole = false;
        finish(s);
    }
}

static void next_page(struct sweep *s)
{
    char *uri = s->next;
    bool more = uri && s->pages < PAGES_MAX;
    int err = PAT_ENOENT;

    s->next = NULL;
    if (more)
        err = rest_list_next(s->r, uri, LIST_MS, on_list, s);
    s->whole = s->whole && (!more || !err);
    free(uri);
    if (err)
        finish(s);
}

int reconcile_messages(struct router *r, const struct pat_json *state, pat_loop_fn *done, void *arg)
{
    struct sweep *s = calloc(1, sizeof *s);
    char query[96], since[PAT_TIME_LEN + 1];
    int err;

    if (!s)
        return PAT_ENOMEM;
    *s = (struct sweep){ .r = r, .whole = true, .done = done, .arg = arg };
    s->began_ms = pat_unix_ms();
    s->seen_ms = pat_json_int_or(state, "seen_ms", s->began_ms - FIRST_MS);
    s->list = calloc(MESSAGES_MAX, sizeof *s->list);
    pat_time_format(s->seen_ms - OVERLAP_MS, since);
    since[10] = 0; /* the day */
    snprintf(query, sizeof query, "DateCreated%%3E=%s&PageSize=%d", since, MESSAGES_MAX);
    err = s->list ? rest_list(r, "Recordings", query, LIST_MS, on_list, s) : PAT_ENOMEM;
    if (err) {
        free(s->list);
        free(s);
    }
    return err;
}
