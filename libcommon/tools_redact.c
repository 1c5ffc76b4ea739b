/* tools_redact.c - what of a tool's arguments may be seen by others.
 *
 * How: by the argument's name where it tells (passcode, digits, card), by its look where it does
 * not (telephone numbers, long runs of digits). Texts are cut, deep trees pruned.
 */
#include "tools_int.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    TEXT_MAX = 300,
    DEPTH = 6,
    RUN = 7 /* digits in a row: a number of somebody or something */
};

static const char gone[] = "[redacted]";

static bool is_secret(const char *name)
{
    static const char *const words[] = { "passcode", "password", "passwd",    "secret", "token",
                                         "pin",      "card",     "cvv",       "cvc",    "ssn",
                                         "iban",     "account",  "credential" };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasestr(name, words[i]))
            return true;
    return false;
}

/* Masks all but the last four of every run of digits that is long (blanks and dashes within it do
 * not end it). Works in place. */
static void mask_runs(char *s)
{
    for (char *p = s; *p;) {
        char *end = p, *last = p;
        int digits = 0, left;

        if (!isdigit((unsigned char)*p)) {
            p++;
            continue;
        }
        for (; isdigit((unsigned char)*end) || strchr(" -.()/", *end); end++) {
            if (!*end)
                break;
            if (isdigit((unsigned char)*end)) {
                digits++;
                last = end;
            }
        }
        left = digits - 4;
        if (digits >= RUN)
            for (char *q = p; q <= last && left > 0; q++)
                if (isdigit((unsigned char)*q)) {
                    *q = '*';
                    left--;
                }
        p = last + 1;
    }
}

static struct pat_json *text_of(const char *s)
{
    char copy[TEXT_MAX + 8];
    size_t len = strnlen(s, TEXT_MAX + 1);
    bool cut = len > TEXT_MAX;

    if (cut)
        for (len = TEXT_MAX; len && ((unsigned char)s[len] & 0xC0) == 0x80;)
            len--;
    (void)snprintf(copy, sizeof copy, "%.*s%s", (int)len, s, cut ? "..." : "");
    mask_runs(copy);
    /* There is no building of a bare string: the first item of an array is one. */
    struct pat_json *arr = pat_json_arr(), *out;
    pat_json_add_str(arr, copy);
    out = pat_json_dup(pat_json_first(arr));
    pat_json_free(arr);
    return out;
}

static struct pat_json *copy(const struct pat_json *v, int depth);

static void put(struct pat_json *to, const struct pat_json *m, int depth)
{
    const char *name = pat_json_key(m), *s = pat_json_value_str(m);
    char count[40];

    if (is_secret(name)) {
        pat_json_set_str(to, name, gone);
    } else if (s && strcasecmp(name, "digits") == 0) {
        (void)snprintf(count, sizeof count, "[%zu digits]", strlen(s));
        pat_json_set_str(to, name, count);
    } else {
        pat_json_set_take(to, name, copy(m, depth + 1));
    }
}

static struct pat_json *copy(const struct pat_json *v, int depth)
{
    struct pat_json *out;

    if (depth == DEPTH)
        return text_of(gone);
    switch (pat_json_kind(v)) {
    case PAT_JSON_STR:
        return text_of(pat_json_value_str(v));
    case PAT_JSON_OBJ:
        out = pat_json_obj();
        PAT_JSON_EACH(m, v)
        put(out, m, depth);
        return out;
    case PAT_JSON_ARR:
        out = pat_json_arr();
        PAT_JSON_EACH(item, v)
        pat_json_add_take(out, copy(item, depth + 1));
        return out;
    case PAT_JSON_NUM:
        if (pat_json_value_num(v) >= 1e6 || pat_json_value_num(v) <= -1e6)
            return text_of(gone);
        break;
    case PAT_JSON_NULL:
    case PAT_JSON_BOOL:
        break;
    }
    return pat_json_dup(v);
}

struct pat_json *pat_tools_redacted(const struct pat_json *args)
{
    if (!args || pat_json_kind(args) != PAT_JSON_OBJ)
        return pat_json_obj();
    return copy(args, 0);
}
