/* print.c - answers for people: tables, fields, a bar. */
#include "ctl.h"

#include <stdarg.h>
#include <string.h>

enum { COLUMNS_MAX = 12, CELL_MAX = 80, BAR_WIDTH = 24 };

bool print_json(const struct ctl *c, const struct pat_json *j)
{
    PAT_AUTO_STR text = c->json ? pat_json_print(j) : NULL;

    if (text) {
        printf("%s\n", text);
        fflush(stdout);
    }
    return c->json;
}

/* ------------------------------------------------------------------ tables */

static void add_time(char out[CELL_MAX], const char *iso)
{
    /* 2026-11-23T10:00:00.1+00:00: to the second, as the server says it. */
    snprintf(out, CELL_MAX, "%.10s %.8s", iso, strlen(iso) > 11 ? iso + 11 : "");
}

static void cell(char out[CELL_MAX], const struct column *col, const struct pat_json *row)
{
    const struct pat_json *v = pat_json_at(row, col->path);
    double n = pat_json_value_num(v);

    snprintf(out, CELL_MAX, "-");
    if (!v || pat_json_kind(v) == PAT_JSON_NULL)
        return;
    if (pat_json_kind(v) == PAT_JSON_BOOL)
        snprintf(out, CELL_MAX, "%s", pat_json_bool_or(row, col->path, false) ? "yes" : "no");
    else if (pat_json_kind(v) == PAT_JSON_STR && col->kind == COL_TIME)
        add_time(out, pat_json_value_str(v));
    else if (pat_json_kind(v) == PAT_JSON_STR)
        snprintf(out, CELL_MAX, "%s", pat_json_value_str(v));
    else if (col->kind == COL_USD)
        snprintf(out, CELL_MAX, "$%.4f", n / 1e6);
    else if (col->kind == COL_MS)
        snprintf(out, CELL_MAX, "%.1fs", n / 1e3);
    else
        snprintf(out, CELL_MAX, "%.10g", n);
}

/* Text comes from users: a control byte would move the cursor. Columns are counted in characters.
 */
static void put_cell(const char *s, size_t width)
{
    size_t n = 0;

    for (; *s; s++) {
        putchar((unsigned char)*s < ' ' || *s == 127 ? '?' : *s);
        n += ((unsigned char)*s & 0xc0) != 0x80;
    }
    for (; n < width; n++)
        putchar(' ');
}

static size_t characters(const char *s)
{
    return pat_utf8_valid(s, strlen(s)) ? pat_utf8_count(s, strlen(s)) : strlen(s);
}

void print_table(const struct column *columns, const struct pat_json *list)
{
    size_t width[COLUMNS_MAX], n = 0;
    char text[CELL_MAX];

    for (; columns[n].title; n++) {
        width[n] = strlen(columns[n].title);
        PAT_JSON_EACH(row, list)
        {
            size_t w;

            cell(text, &columns[n], row);
            w = characters(text);
            width[n] = w > width[n] ? w : width[n];
        }
    }
    for (size_t i = 0; i < n; i++)
        put_cell(columns[i].title, i + 1 < n ? width[i] + 2 : 0);
    putchar('\n');
    PAT_JSON_EACH(row, list)
    {
        for (size_t i = 0; i < n; i++) {
            cell(text, &columns[i], row);
            put_cell(text, i + 1 < n ? width[i] + 2 : 0);
        }
        putchar('\n');
    }
}

void print_field(const char *name, const char *format, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    put_cell(name, 12);
    put_cell(text, 0);
    putchar('\n');
}

const char *print_bold(const struct ctl *c)
{
    return c->color ? "\033[1m" : "";
}

const char *print_plain(const struct ctl *c)
{
    return c->color ? "\033[0m" : "";
}

/* ------------------------------------------------------------------ a bar */

void print_bar(const struct ctl *c, struct bar *b, int64_t done, int64_t of, const char *text)
{
    char line[sizeof b->last];
    int filled = of > 0 ? (int)(done * BAR_WIDTH / of) : 0;

    snprintf(line, sizeof line, "%lld/%lld  %s", (long long)done, (long long)of, text);
    if (!strcmp(line, b->last))
        return;
    memcpy(b->last, line, sizeof line);
    if (c->tty) {
        printf("\r\033[K[");
        for (int i = 0; i < BAR_WIDTH; i++)
            putchar(i < filled ? '#' : '-');
        printf("] ");
    }
    put_cell(line, 0);
    if (!c->tty)
        putchar('\n');
    fflush(stdout);
}

void print_bar_end(const struct ctl *c, struct bar *b)
{
    if (c->tty && *b->last)
        putchar('\n');
    *b->last = '\0';
    fflush(stdout);
}
