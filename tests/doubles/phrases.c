/* phrases.c - see phrases.h.
 *
 * How: a growing list of pairs, searched linearly: hundreds at most. What is not letters alone
 * flite turns into words. It does not know other languages. */
#include "phrases.h"

#include "synth.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CLAUSES = 8, MAX_ENTRIES = 4000 };
#define MAX_SENTENCE ((size_t)2000)

struct entry {
    char *heard, *written;
};

struct phrases {
    struct entry *entries;
    size_t n, cap;
};

static void add_word(struct pat_buf *out, const char *word, size_t len)
{
    if (out->len)
        pat_buf_adds(out, " ");
    pat_buf_add(out, word, len);
}

static bool is_letter(const char *p, size_t i, size_t len)
{
    if (isalpha((unsigned char)p[i]))
        return true;
    return p[i] == '\'' && i && i + 1 < len && isalpha((unsigned char)p[i - 1]) &&
           isalpha((unsigned char)p[i + 1]);
}

static int plain_words(struct pat_buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        char word[64];
        size_t n = 0;

        for (; i < len && n < sizeof word && is_letter(text, i, len); i++)
            word[n++] = (char)tolower((unsigned char)text[i]);
        if (n)
            add_word(out, word, n);
        else
            i++;
    }
    return out->err;
}

/* What is not letters alone, the voice knows how to say: numbers, dates, signs. */
int phrases_words(struct pat_buf *out, const char *text, size_t len)
{
    bool plain = true;
    struct pat_buf said;
    char *copy;
    int err;

    for (size_t i = 0; i < len; i++)
        plain = plain && (isalpha((unsigned char)text[i]) || strchr(" .,!?;:'-", text[i]));
    if (plain)
        return plain_words(out, text, len);
    copy = strndup(text, len);
    if (!copy)
        return PAT_ENOMEM;
    pat_buf_init(&said, MAX_SENTENCE * 8);
    err = synth_words(&said, copy);
    if (!err)
        err = plain_words(out, said.data ? said.data : "", said.len);
    pat_buf_fini(&said);
    free(copy);
    return err;
}

int phrases_new(struct phrases **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? PAT_OK : PAT_ENOMEM;
}

void phrases_free(struct phrases *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++) {
        free(p->entries[i].heard);
        free(p->entries[i].written);
    }
    free(p->entries);
    free(p);
}

const char *phrases_written(const struct phrases *p, const char *heard)
{
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->entries[i].heard, heard))
            return p->entries[i].written;
    return NULL;
}

const char *phrases_heard(const struct phrases *p, size_t i)
{
    return i < p->n ? p->entries[i].heard : NULL;
}

static int grow(struct phrases *p)
{
    size_t cap = p->cap ? 2 * p->cap : 64;
    struct entry *to;

    if (p->n < p->cap)
        return PAT_OK;
    if (p->n >= MAX_ENTRIES)
        return PAT_E2BIG;
    to = realloc(p->entries, cap * sizeof *to);
    if (!to)
        return PAT_ENOMEM;
    p->entries = to;
    p->cap = cap;
    return PAT_OK;
}

static int add_entry(struct phrases *p, const char *text, size_t len)
{
    struct pat_buf heard;
    int err = grow(p);

    if (err)
        return err;
    pat_buf_init(&heard, MAX_SENTENCE * 8);
    err = phrases_words(&heard, text, len);
    if (!err && !heard.len)
        err = PAT_EINVAL;
    if (!err && !phrases_written(p, heard.data)) {
        p->entries[p->n].written = strndup(text, len);
        p->entries[p->n].heard = pat_buf_take(&heard);
        p->n++;
        if (!p->entries[p->n - 1].heard || !p->entries[p->n - 1].written)
            err = PAT_ENOMEM;
    }
    pat_buf_fini(&heard);
    return err;
}

/* Where clauses begin; at[0] is 0 and at[n] the end. */
static size_t clauses(const char *s, size_t len, size_t at[MAX_CLAUSES + 1])
{
    size_t n = 1;

    at[0] = 0;
    for (size_t i = 0; i + 1 < len && n < MAX_CLAUSES; i++)
        if (strchr(".,!?;:", s[i]) && s[i + 1] == ' ')
            at[n++] = i + 2;
    at[n] = len;
    return n;
}

int phrases_add(struct phrases *p, const char *sentence)
{
    size_t len = strlen(sentence), at[MAX_CLAUSES + 1], n;
    int err;

    if (len > MAX_SENTENCE)
        return PAT_E2BIG;
    err = add_entry(p, sentence, len);
    if (err)
        return err;
    n = clauses(sentence, len, at);
    for (size_t from = 0; from < n; from++)
        for (size_t to = from + 1; to <= n; to++) {
            size_t end = at[to];

            while (end > at[from] && sentence[end - 1] == ' ')
                end--;
            err = add_entry(p, sentence + at[from], end - at[from]);
            if (err && err != PAT_EINVAL) /* a clause may be without words: "..." */
                return err;
        }
    return PAT_OK;
}

int phrases_jsgf(const struct phrases *p, struct pat_buf *out)
{
    pat_buf_adds(out, "#JSGF V1.0; grammar g; public <g> = ");
    for (size_t i = 0; i < p->n; i++)
        pat_buf_addf(out, "%s%s", i ? " | " : "", p->entries[i].heard);
    pat_buf_adds(out, ";");
    return out->err;
}
