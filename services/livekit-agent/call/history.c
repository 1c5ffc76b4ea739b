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
    char *text;
    int64_t at_ms;
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
    for (size_t i = 0; i < h->n; i++)
        free(h->list[i].text);
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
    if (h->n && h->list[h->n - 1].user == user)
        return append_to(&h->list[h->n - 1], text, len);
    err = grow(h);
    if (err)
        return err;
    h->list[h->n] = (struct message){ user, strndup(text, len), at_ms };
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

    while (i > 0 && strlen(h->list[i - 1].text) + 32 <= room) {
        room -= strlen(h->list[i - 1].text) + 32;
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

struct pat_json *history_transcript(const struct history *h)
{
    struct pat_json *all = pat_json_arr();

    for (size_t i = 0; i < h->n; i++) {
        struct pat_json *m = pat_json_obj();
        pat_json_set_str(m, "role", h->list[i].user ? "user" : "agent");
        pat_json_set_str(m, "content", h->list[i].text);
        pat_json_set_int(m, "start_ms", h->list[i].at_ms);
        pat_json_add_take(all, m);
    }
    return all;
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
