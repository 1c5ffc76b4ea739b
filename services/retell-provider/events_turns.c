/* events_turns.c - turn.user, turn.agent and turn.tool of a call that is over, turn.partial of one
 * that is not; see events.h.
 *
 * Retell tells what was said once it is over, with the time of each word in seconds since the call
 * began ("not guaranteed to be accurate", docs.retellai.com, get-call). Tools of ours told of
 * themselves as they ran (tools.c); from the transcript come those Retell runs itself.
 */
#include "events.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct walk {
    const struct news *n;
    int64_t began_ms; /* Unix time of the call's begin */
    int64_t turn, at; /* of the caller's; utterances and tools so far */
    int64_t last_ms;  /* where the one before ended: for those without words */
    int64_t changes;  /* answers of the agent's to the caller so far */
    bool user_spoke;
    const struct pat_json *e2e, *llm; /* a figure per answer, or NULL */
};

/* Figures of Retell's that can be put to single answers: as many as there are answers. */
static const struct pat_json *figures(const struct pat_json *body, const char *path,
                                      int64_t answers)
{
    const struct pat_json *list = pat_json_at(body, path);

    return list && pat_json_kind(list) == PAT_JSON_ARR && (int64_t)pat_json_size(list) == answers
               ? list
               : NULL;
}

static void times(struct walk *w, const struct pat_json *t, int64_t *from_ms, int64_t *to_ms)
{
    const struct pat_json *words = pat_json_at(t, "words");
    size_t n = words && pat_json_kind(words) == PAT_JSON_ARR ? pat_json_size(words) : 0;
    double from = n ? pat_json_num_or(pat_json_item(words, 0), "start", -1) : -1;
    double to = n ? pat_json_num_or(pat_json_item(words, n - 1), "end", -1) : -1;

    *from_ms = from >= 0 && from < 1e6 ? llround(from * 1000) : w->last_ms;
    *to_ms = to >= 0 && to < 1e6 ? llround(to * 1000) : *from_ms;
    if (*to_ms < *from_ms)
        *to_ms = *from_ms;
    w->last_ms = *to_ms;
}

static void set_figure(struct pat_json *timings, const char *name, const struct pat_json *list,
                       int64_t nth)
{
    const struct pat_json *v = list ? pat_json_item(list, (size_t)nth) : NULL;

    if (v && pat_json_kind(v) == PAT_JSON_NUM && pat_json_value_num(v) >= 0)
        pat_json_set_num(timings, name, pat_json_value_num(v));
    else
        pat_json_set_null(timings, name);
}

static void add_timings(struct walk *w, struct pat_json *data)
{
    static const char *const unknown[] = { "eot_ms", "llm_sentence_ms", "tts_first_ms", "own_ms" };
    struct pat_json *timings = pat_json_obj();

    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        pat_json_set_null(timings, unknown[i]);
    set_figure(timings, "llm_first_ms", w->user_spoke ? w->llm : NULL, w->changes);
    set_figure(timings, "response_ms", w->user_spoke ? w->e2e : NULL, w->changes);
    pat_json_set_take(data, "timings", timings);
}

static int say(struct walk *w, const struct pat_json *t, bool agent)
{
    struct pat_json *data = news_data(w->n);
    const char *text = pat_json_str_or(t, "content", "");
    int64_t from_ms, to_ms;
    char what[48];

    times(w, t, &from_ms, &to_ms);
    if (!agent)
        w->turn++;
    pat_json_set_int(data, "turn", w->turn);
    pat_json_set_str(data, "text", text);
    pat_json_set_int(data, "started_ms", from_ms);
    pat_json_set_int(data, "ended_ms", to_ms);
    pat_json_set_str(data, "retell_call_id", w->n->retell);
    if (agent) {
        pat_json_set_str(data, "heard", text);
        pat_json_set_bool(data, "interrupted", false);
        add_timings(w, data);
        w->changes += w->user_spoke;
    } else {
        pat_json_set_null(data, "language");
    }
    w->user_spoke = !agent;
    snprintf(what, sizeof what, "turn %lld", (long long)w->at);
    return news_tell(w->n, "turn", agent ? "agent" : "user", w->began_ms + to_ms, what, data, NULL,
                     0);
}

/* ------------------------------------------------------------------ tools */

struct pat_id news_tool_id(const char *retell_call, const char *tool, const char *use)
{
    struct pat_buf key;
    struct pat_id id;

    pat_buf_init(&key, (size_t)4 << 20);
    pat_buf_addf(&key, "tool %s ", tool);
    pat_buf_adds(&key, use);
    id = pat_event_id_once(retell_call, key.data && !key.err ? key.data : tool);
    pat_buf_fini(&key);
    return id;
}

static bool is_told(const struct news *n, const char *id)
{
    if (n->tools && pat_json_kind(n->tools) == PAT_JSON_ARR)
        PAT_JSON_EACH(known, n->tools)
    if (pat_json_value_str(known) && !strcmp(pat_json_value_str(known), id))
        return true;
    return false;
}

/* Its result stands further down; none: the call ended first. */
static const char *outcome_of(const struct pat_json *turns, const char *use)
{
    PAT_JSON_EACH(t, turns)
    if (!strcmp(pat_json_str_or(t, "role", ""), "tool_call_result") &&
        !strcmp(pat_json_str_or(t, "tool_call_id", ""), use))
        return pat_json_bool_or(t, "successful", true) ? "ok" : "failed";
    return "canceled";
}

static int use_tool(struct walk *w, const struct pat_json *turns, const struct pat_json *t)
{
    const char *name = pat_json_str_or(t, "name", "unknown");
    const char *use = pat_json_str_or(t, "tool_call_id", "");
    const char *text = pat_json_str_or(t, "arguments", "{}");
    struct pat_id id = news_tool_id(w->n->retell, name, use);
    PAT_AUTO_JSON args = NULL;
    PAT_AUTO_JSON row = NULL;
    PAT_AUTO_STR facts = NULL;
    struct pat_json *data;
    const char *params[1];
    struct pat_db_stmt stmt = { "put_tool_call", "select patchbay.put_tool_call($1::jsonb)", 1,
                                params };
    struct pat_id event;

    if (is_told(w->n, id.s))
        return PAT_OK;
    if (pat_json_parse(&args, text, strlen(text), NULL) || pat_json_kind(args) != PAT_JSON_OBJ) {
        pat_json_free(args);
        args = pat_json_obj();
    }
    data = news_data(w->n);
    pat_json_set_str(data, "tool_call_id", id.s);
    pat_json_set_int(data, "turn", w->turn);
    pat_json_set_str(data, "tool", strlen(name) <= 64 ? name : "unknown");
    pat_json_set_take(data, "arguments", pat_tools_redacted(args));
    pat_json_set_str(data, "outcome", outcome_of(turns, use));
    pat_json_set_null(data, "error");
    pat_json_set_int(data, "duration_ms", 0);
    row = pat_json_dup(data);
    pat_json_set_str(row, "id", id.s);
    facts = pat_json_print(row);
    params[0] = facts;
    event = pat_event_id_once(id.s, "turn.tool");
    return pat_journal_add(w->n->p->journal,
                           &(struct pat_event){ .area = "turn",
                                                .name = "tool",
                                                .user_id = w->n->user,
                                                .key = w->n->call,
                                                .source = "/patchbay/retell-provider",
                                                .time_ms = w->began_ms + w->last_ms,
                                                .id = &event },
                           data, &stmt, facts ? 1 : 0);
}

/* ------------------------------------------------------------------ the whole call */

static const struct pat_json *transcript(const struct pat_json *body)
{
    static const char *const paths[] = { "call.transcript_with_tool_calls",
                                         "call.transcript_object" };

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const struct pat_json *list = pat_json_at(body, paths[i]);

        if (list && pat_json_kind(list) == PAT_JSON_ARR && pat_json_size(list))
            return list;
    }
    return NULL;
}

/* transcript_with_tool_calls has the utterances too; where it has none, the plain one does. */
static const struct pat_json *spoken(const struct pat_json *body, const struct pat_json *turns)
{
    const struct pat_json *plain = pat_json_at(body, "call.transcript_object");
    bool said = false;

    PAT_JSON_EACH(t, turns)
    said = said || pat_json_at(t, "words") || !strcmp(pat_json_str_or(t, "role", ""), "user") ||
           !strcmp(pat_json_str_or(t, "role", ""), "agent");
    return said || !plain || pat_json_kind(plain) != PAT_JSON_ARR ? NULL : plain;
}

static int64_t answers_in(const struct pat_json *turns)
{
    int64_t n = 0;
    bool user = false;

    PAT_JSON_EACH(t, turns)
    {
        const char *role = pat_json_str_or(t, "role", "");

        n += user && !strcmp(role, "agent");
        if (!strcmp(role, "user") || !strcmp(role, "agent"))
            user = !strcmp(role, "user");
    }
    return n;
}

static int walk(struct walk *w, const struct pat_json *turns)
{
    int err = PAT_OK;

    w->e2e = figures(w->n->body, "call.latency.e2e.values", answers_in(turns));
    w->llm = figures(w->n->body, "call.latency.llm.values", answers_in(turns));
    PAT_JSON_EACH(t, turns)
    {
        const char *role = pat_json_str_or(t, "role", "");

        if (err)
            break;
        if (!strcmp(role, "agent") || !strcmp(role, "user"))
            err = say(w, t, !strcmp(role, "agent"));
        else if (!strcmp(role, "tool_call_invocation"))
            err = use_tool(w, turns, t);
        w->at++;
    }
    return err;
}

int news_turns(const struct news *n)
{
    const struct pat_json *turns = transcript(n->body), *plain;
    struct walk w = { .n = n,
                      .began_ms = pat_json_int_or(n->body, "call.start_timestamp", pat_unix_ms()) };
    int err;

    if (!turns)
        return PAT_OK;
    plain = spoken(n->body, turns);
    err = walk(&w, turns);
    return err || !plain ? err : walk(&w, plain);
}

/* ------------------------------------------------------------------ live */

void news_live(const struct news *n)
{
    const struct pat_json *turns = transcript(n->body), *last = NULL;
    struct pat_event e = { .area = "turn",
                           .name = "partial",
                           .user_id = n->user,
                           .key = n->call,
                           .source = "/patchbay/retell-provider" };
    struct pat_event_text text = { 0 };
    struct pat_json *data;
    int64_t turn = 0;

    if (!turns)
        return;
    PAT_JSON_EACH(t, turns)
    if (!strcmp(pat_json_str_or(t, "role", ""), "agent") ||
        !strcmp(pat_json_str_or(t, "role", ""), "user")) {
        turn += !strcmp(pat_json_str_or(t, "role", ""), "user");
        last = t;
    }
    if (!last)
        return;
    data = news_data(n);
    pat_json_set_int(data, "turn", turn);
    pat_json_set_str(data, "role", pat_json_str_or(last, "role", ""));
    pat_json_set_str(data, "text", pat_json_str_or(last, "content", ""));
    /* Stale within a second: lost is lost. */
    if (pat_event_make(&text, &e, data) ||
        pat_bus_publish(n->p->d->bus, text.subject, text.json, text.len))
        pat_log(PAT_DEBUG, "call.live_text_lost", PAT_S("call", n->call));
    pat_event_text_fini(&text);
}
