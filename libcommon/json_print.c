/* json_print.c - a tree as text.
 *
 * cJSON's own printer is not used: it takes three times as long and would print NaN as null.
 * Quoting a string is json_text.c.
 */
#include "json_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    /* A parsed document may be put into an envelope; deeper than this is a loop or a bug. */
    PRINT_DEPTH = 2 * PAT_JSON_DEPTH,
};

static void print_num(double v, struct pat_buf *out)
{
    char text[32];
    char *end = text + sizeof text;
    char *at = end;
    uint64_t u = (uint64_t)fabs(json_whole(v) ? v : 0);

    if (!isfinite(v)) {
        pat_buf_adds(out, "null");
    } else if (json_whole(v)) {
        do
            *--at = (char)('0' + u % 10);
        while (u /= 10);
        if (v < 0)
            *--at = '-';
        pat_buf_add(out, at, (size_t)(end - at));
    } else {
        /* The shorter form where it reads back as the same number. */
        (void)snprintf(text, sizeof text, "%.15g", v);
        if (strtod(text, NULL) != v)
            (void)snprintf(text, sizeof text, "%.17g", v);
        pat_buf_adds(out, text);
    }
}

static int print(const cJSON *c, struct pat_buf *out, int depth)
{
    bool obj = cJSON_IsObject(c);
    int err;

    switch (c->type & 0xff) {
    case cJSON_False:
        return pat_buf_add(out, "false", 5);
    case cJSON_True:
        return pat_buf_add(out, "true", 4);
    case cJSON_Number:
        print_num(c->valuedouble, out);
        return out->err;
    case cJSON_String:
        return pat_json_quote(out, c->valuestring, strlen(c->valuestring));
    case cJSON_Raw:
        return pat_buf_adds(out, c->valuestring);
    case cJSON_Array:
    case cJSON_Object:
        break;
    default:
        return pat_buf_add(out, "null", 4);
    }
    if (json_broken(c))
        return PAT_ENOMEM;
    if (depth == 0)
        return PAT_E2BIG;
    pat_buf_add(out, obj ? "{" : "[", 1);
    for (const cJSON *i = c->child; i; i = i->next) {
        if (i != c->child)
            pat_buf_add(out, ",", 1);
        if (obj) {
            pat_json_quote(out, i->string, strlen(i->string));
            pat_buf_add(out, ":", 1);
        }
        err = print(i, out, depth - 1);
        if (err)
            return err;
    }
    return pat_buf_add(out, obj ? "}" : "]", 1);
}

int pat_json_print_to(const struct pat_json *j, struct pat_buf *out)
{
    return j ? print(cnode(j), out, PRINT_DEPTH) : PAT_ENOMEM;
}

char *pat_json_print(const struct pat_json *j)
{
    struct pat_buf out;
    char *text = NULL;

    pat_buf_init(&out, PAT_JSON_PRINT_MAX);
    if (!pat_json_print_to(j, &out))
        text = pat_buf_take(&out);
    pat_buf_fini(&out);
    return text;
}
