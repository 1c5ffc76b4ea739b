/* text.c - a JSON object written as text: see text.h. */
#include "text.h"

enum {
    TEXT_MAX = 512 << 10, /* above what a request of the carrier's, 64 KiB, can become by quoting */
    TEXT_USUAL = 1000,    /* most fit: one allocation */
};

void text_key(struct text *t, const char *key)
{
    pat_buf_adds(&t->b, t->b.len ? ",\"" : "{\"");
    pat_buf_adds(&t->b, key);
    pat_buf_add(&t->b, "\":", 2);
}

void text_str(struct text *t, const char *key, const char *value)
{
    text_key(t, key);
    if (value)
        pat_json_quote(&t->b, value, strlen(value));
    else
        pat_buf_add(&t->b, "null", 4);
}

void text_or_null(struct text *t, const char *key, const char *value)
{
    text_str(t, key, *value ? value : NULL);
}

void text_int(struct text *t, const char *key, int64_t n)
{
    text_key(t, key);
    pat_buf_addi(&t->b, n);
}

void text_bool(struct text *t, const char *key, bool b)
{
    text_key(t, key);
    pat_buf_adds(&t->b, b ? "true" : "false");
}

void text_ms(struct text *t, const char *key, int64_t ms)
{
    if (ms >= 0)
        text_int(t, key, ms);
    else
        text_str(t, key, NULL);
}

void text_time(struct text *t, const char *key, int64_t unix_ms)
{
    char at[PAT_TIME_LEN + 1];

    pat_time_format(unix_ms, at);
    text_str(t, key, at);
}

void text_raw(struct text *t, const char *key, const char *json)
{
    text_key(t, key);
    pat_buf_adds(&t->b, json ? json : "null");
}

void text_init(struct text *t, size_t extra)
{
    pat_buf_init(&t->b, TEXT_MAX + extra);
    (void)pat_buf_reserve(&t->b, TEXT_USUAL + extra); /* a failure sticks */
}

const char *text_end(struct text *t)
{
    return pat_buf_add(&t->b, "}", 1) ? NULL : t->b.data;
}

void text_fini(struct text *t)
{
    pat_buf_fini(&t->b);
}
