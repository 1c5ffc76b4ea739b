/* chat_mend.c - see chat_mend.h. */
#include "chat_mend.h"

#include <ctype.h>
#include <string.h>

enum { CHANCE = 12 }; /* so many equal letters may be chance ("I am sorry, ...") */
#define MAX_HELD ((size_t)64 << 10)

static bool is_role(const struct pat_json *message, const char *role)
{
    return !strcmp(pat_json_str_or(message, "role", ""), role);
}

static bool leads(const struct pat_json *message)
{
    return is_role(message, "system") || is_role(message, "developer");
}

struct pat_json *chat_shorten(const struct pat_json *messages)
{
    size_t n = pat_json_size(messages), head = 0, from;
    struct pat_json *out;

    while (head < n && leads(pat_json_item(messages, head)))
        head++;
    from = head + (n - head + 1) / 2;
    while (from < n && !is_role(pat_json_item(messages, from), "user"))
        from++;
    if (from >= n || from == head)
        return NULL;
    out = pat_json_arr();
    for (size_t i = 0; i < n; i++)
        if (i < head || i >= from)
            pat_json_add_take(out, pat_json_dup(pat_json_item(messages, i)));
    return out;
}

static void add(struct pat_json *to, const char *role, const char *content)
{
    struct pat_json *m = pat_json_obj();

    pat_json_set_str(m, "role", role);
    pat_json_set_str(m, "content", content);
    pat_json_add_take(to, m);
}

struct pat_json *chat_go_on(const struct pat_json *messages, const char *said)
{
    struct pat_json *out = pat_json_dup(messages);

    if (!out || !*said)
        return out;
    add(out, "assistant", said);
    add(out, "system",
        "The line to you broke off behind the assistant's last words. The caller has heard them. Go "
        "on right behind them with the rest of the answer; do not repeat them and do not mention "
        "this.");
    return out;
}

void chat_repeat_init(struct chat_repeat *r, const char *said)
{
    *r = (struct chat_repeat){ .said = said, .over = !*said };
    pat_buf_init(&r->held, MAX_HELD);
}

void chat_repeat_fini(struct chat_repeat *r)
{
    pat_buf_fini(&r->held);
}

static bool counts(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

static char folded(char c)
{
    return (char)tolower((unsigned char)c);
}

static void skip_to_counting(struct chat_repeat *r)
{
    while (r->said[r->at] && !counts(r->said[r->at]))
        r->at++;
}

/* The words differ from here on: a chance likeness is given out whole, else from this word on. */
static void diverged(struct chat_repeat *r, size_t matched_to, chat_repeat_fn *fn, void *arg)
{
    size_t from = r->at < CHANCE ? 0 : matched_to;

    r->over = true;
    while (from && from < r->held.len && counts(r->held.data[from - 1]))
        from--;
    if (r->held.len > from)
        fn(r->held.data + from, r->held.len - from, arg);
    pat_buf_reset(&r->held);
}

void chat_repeat_feed(struct chat_repeat *r, const char *text, size_t len, chat_repeat_fn *fn,
                      void *arg)
{
    size_t at = r->held.len;

    if (r->over || pat_buf_add(&r->held, text, len)) {
        r->over = true;
        fn(text, len, arg);
        return;
    }
    skip_to_counting(r);
    for (; at < r->held.len; at++) {
        if (!counts(r->held.data[at]))
            continue;
        if (!r->said[r->at]) { /* all of it was repeated: what follows is new */
            r->over = true;
            fn(r->held.data + at, r->held.len - at, arg);
            pat_buf_reset(&r->held);
            return;
        }
        if (folded(r->held.data[at]) != folded(r->said[r->at])) {
            diverged(r, at, fn, arg);
            return;
        }
        r->at++;
        skip_to_counting(r);
    }
}
