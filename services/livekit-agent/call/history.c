/* history.c - a list of messages that two rules keep valid: merge what one side says in a row, keep
 * nothing empty.
 */
#include "history.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MESSAGES = 4000, MAX_TEXT = 32 * 1024 };

struct message {
    bool user;
    char *text; /* "" of tools */
    int64_t at_ms;
    struct pat_json *calls, *results; /* of tools: as the model made them; by call id */
    size_t size;                      /* of both, as text */
};

struct history {
    char *system;
    struct message *list;
    size_t n, cap;
};

int history_new(struct history **out, const char *system)
{
    struct history *h = calloc(1, sizeof *h);

    if (!h || !(h->system = strdup(system))) {
        free(h);
        return PAT_ENOMEM;
    }
    *out = h;
    return PAT_OK;
}

void history_free(struct history *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++) {
        free(h->list[i].text);
        pat_json_free(h->list[i].calls);
        pat_json_free(h->list[i].results);
    }
    free(h->list);
    free(h->system);
    free(h);
}

static const char *trim(const char *text, size_t *len)
{
    while (isspace((unsigned char)*text))
        text++;
    *len = strnlen(text, MAX_TEXT);
    while (*len && isspace((unsigned char)text[*len - 1]))
        (*len)--;
    return text;
}

static int grow(struct history *h)
{
    size_t cap = h->cap ? 2 * h->cap : 16;
    struct message *list;

    if (h->n < h->cap)
        return PAT_OK;
    if (h->n >= MAX_MESSAGES)
        return PAT_E2BIG;
    list = realloc(h->list, cap * sizeof *list);
    if (!list)
        return PAT_ENOMEM;
    h->list = list;
    h->cap = cap;
    return PAT_OK;
}

static int append_to(struct message *m, const char *text, size_t len)
{
    struct pat_buf b;
    char *joined;

    pat_buf_init(&b, 2 * MAX_TEXT);
    pat_buf_addf(&b, "%s %.*s", m->text, (int)len, text);
    joined = pat_buf_take(&b);
    if (!joined)
        return PAT_ENOMEM;
    free(m->text);
    m->text = joined;
    return PAT_OK;
}

static int add(struct history *h, bool user, const char *text, int64_t at_ms)
{
    size_t len;
    int err;

    text = trim(text, &len);
    if (!len)
        return PAT_OK;
    if (h->n && h->list[h->n - 1].user == user && !h->list[h->n - 1].calls)
        return append_to(&h->list[h->n - 1], text, len);
    err = grow(h);
    if (err)
        return err;
    h->list[h->n] = (struct message){ .user = user, .text = strndup(text, len), .at_ms = at_ms };
    if (!h->list[h->n].text)
        return PAT_ENOMEM;
    h->n++;
    return PAT_OK;
}

int history_user(struct history *h, const char *text, int64_t at_ms)
{
    return add(h, true, text, at_ms);
}

int history_agent(struct history *h, const char *text, int64_t at_ms)
{
    return add(h, false, text, at_ms);
}

static size_t text_size(const struct pat_json *j)
{
    PAT_AUTO_STR text = pat_json_print(j);

    return text ? strlen(text) : 0;
}

int history_tools(struct history *h, struct pat_json *calls_take, int64_t at_ms)
{
    struct message m = {
        .text = strdup(""), .at_ms = at_ms, .calls = calls_take, .results = pat_json_obj()
    };
    int err = grow(h);

    if (!err && (!m.text || !m.results || !m.calls))
        err = PAT_ENOMEM;
    if (err) {
        free(m.text);
        pat_json_free(m.calls);
        pat_json_free(m.results);
        return err;
    }
    m.size = text_size(m.calls);
    h->list[h->n++] = m;
    return PAT_OK;
}

void history_tool_result(struct history *h, const char *call_id, const char *text)
{
    for (size_t i = h->n; i-- > 0;) {
        struct message *m = &h->list[i];

        if (!m->calls)
            continue;
        PAT_JSON_EACH(call, m->calls)
        if (strcmp(pat_json_str_or(call, "id", ""), call_id) == 0) {
            pat_json_set_str(m->results, call_id, text);
            m->size = text_size(m->calls) + text_size(m->results);
            return;
        }
    }
}

/* The model's call and, whatever happened, an answer to each: vendors refuse calls without. */
static void put_tools(struct pat_json *to, const struct message *m)
{
    struct pat_json *a = pat_json_obj();

    pat_json_set_str(a, "role", "assistant");
    pat_json_set_null(a, "content");
    pat_json_set_take(a, "tool_calls", pat_json_dup(m->calls));
    pat_json_add_take(to, a);
    PAT_JSON_EACH(call, m->calls)
    {
        const char *id = pat_json_str_or(call, "id", ""), *result = NULL;
        struct pat_json *t = pat_json_obj();

        PAT_JSON_EACH(r, m->results)
        if (strcmp(pat_json_key(r), id) == 0)
            result = pat_json_value_str(r);
        pat_json_set_str(t, "role", "tool");
        pat_json_set_str(t, "tool_call_id", id);
        pat_json_set_str(t, "content", result ? result : "{\"status\":\"still running\"}");
        pat_json_add_take(to, t);
    }
}

static size_t size_of(const struct message *m)
{
    return strlen(m->text) + m->size + 32;
}

static void put(struct pat_json *to, const char *role, const char *text)
{
    struct pat_json *m = pat_json_obj();

    pat_json_set_str(m, "role", role);
    pat_json_set_str(m, "content", text);
    pat_json_add_take(to, m);
}

static size_t first_that_fits(const struct history *h, size_t room)
{
    size_t i = h->n;

    while (i > 0 && size_of(&h->list[i - 1]) <= room) {
        room -= size_of(&h->list[i - 1]);
        i--;
    }
    return i;
}

struct pat_json *history_messages(const struct history *h, const char *pending, size_t max_bytes)
{
    struct pat_json *all = pat_json_arr();
    size_t used = strlen(h->system) + (pending ? strlen(pending) : 0);
    size_t len = 0;
    const char *rest = pending ? trim(pending, &len) : "";

    put(all, "system", h->system);
    for (size_t i = first_that_fits(h, max_bytes > used ? max_bytes - used : 0); i < h->n; i++) {
        const struct message *m = &h->list[i];
        struct message joined = *m;

        if (m->calls) {
            put_tools(all, m);
            continue;
        }
        if (len && i + 1 == h->n && m->user && (joined.text = strdup(m->text)) != NULL) {
            if (!append_to(&joined, rest, len))
                len = 0;
            put(all, "user", joined.text);
            free(joined.text);
            continue;
        }
        put(all, m->user ? "user" : "assistant", m->text);
    }
    if (len) {
        struct pat_json *last = pat_json_obj();
        pat_json_set_str(last, "role", "user");
        pat_json_set_strn(last, "content", rest, len);
        pat_json_add_take(all, last);
    }
    return all;
}

static struct pat_json *transcript_from(const struct history *h, size_t first)
{
    struct pat_json *all = pat_json_arr();

    for (size_t i = first; i < h->n; i++) {
        struct pat_json *m;

        if (h->list[i].calls)
            continue;
        m = pat_json_obj();
        pat_json_set_str(m, "role", h->list[i].user ? "user" : "agent");
        pat_json_set_str(m, "content", h->list[i].text);
        pat_json_set_int(m, "start_ms", h->list[i].at_ms);
        pat_json_add_take(all, m);
    }
    return all;
}

struct pat_json *history_transcript(const struct history *h)
{
    return transcript_from(h, 0);
}

struct pat_json *history_tail(const struct history *h, size_t max_bytes)
{
    return transcript_from(h, first_that_fits(h, max_bytes));
}

size_t history_size(const struct history *h)
{
    return h->n;
}

bool history_user_spoke(const struct history *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->list[i].user)
            return true;
    return false;
}
