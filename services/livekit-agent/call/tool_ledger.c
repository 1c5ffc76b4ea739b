/* tool_ledger.c - the list of a turn's tool calls, and their keys. Runs nothing. */
#include "tool_ledger.h"

#include "tool_int.h"

#include <stdlib.h>
#include <string.h>

enum { WHAT_MAX = 96 * 1024 };

static struct tool_note *note_of(const struct ledger *l, const struct tool_run *r)
{
    for (struct tool_note *n = l->notes; n; n = n->next)
        if (strcmp(n->key.s, r->key.s) == 0)
            return n;
    return NULL;
}

/* What identifies the call: the same tool with the same arguments, for the nth time in this turn.
 */
static struct pat_id key_of(const struct ledger *l, const struct tool_run *r, const char *arguments)
{
    const struct call *c = r->tools->c;
    struct pat_id key = pat_id_new();
    struct pat_buf what;
    int before = 0;

    for (const struct tool_note *n = l->notes; n; n = n->next)
        before += strcmp(n->name, r->name) == 0 && strcmp(n->arguments, arguments) == 0;
    pat_buf_init(&what, WHAT_MAX);
    if (!pat_buf_addf(&what, "tool|%d|%d|%s|%s", c->turns, before, r->name, arguments))
        key = pat_event_id_once(c->id, what.data);
    pat_buf_fini(&what);
    return key;
}

static char *shown(const struct pat_json *args)
{
    struct pat_json *copy = args ? pat_json_dup(args) : pat_json_obj();
    char *text;

    if (pat_json_at(copy, "passcode"))
        pat_json_set_str(copy, "passcode", "");
    text = pat_json_print(copy);
    pat_json_free(copy);
    return text;
}

static void note_free(struct tool_note *n)
{
    free(n->arguments);
    free(n->result);
    free(n);
}

static void append(struct ledger *l, struct tool_note *n)
{
    struct tool_note **at = &l->notes;

    while (*at)
        at = &(*at)->next;
    *at = n;
    l->n++;
}

void ledger_add(struct ledger *l, struct tool_run *r)
{
    char *arguments = shown(r->args);
    struct tool_note *n = arguments && l->n < LEDGER_NOTES ? calloc(1, sizeof *n) : NULL;

    r->key = arguments ? key_of(l, r, arguments) : pat_id_new();
    if (!n) {
        free(arguments);
        return;
    }
    n->key = r->key;
    n->arguments = arguments;
    pat_strcpy(n->call_id, sizeof n->call_id, r->call_id);
    pat_strcpy(n->name, sizeof n->name, r->name);
    append(l, n);
}

void ledger_done(struct ledger *l, const struct tool_run *r, const char *result)
{
    struct tool_note *n = note_of(l, r);

    if (!n)
        return;
    free(n->result);
    n->result = strdup(result);
}

void ledger_checked(struct ledger *l, const struct tool_run *r)
{
    struct tool_note *n = note_of(l, r);

    if (n)
        n->checked = true;
}

static void drop(struct ledger *l, bool all)
{
    for (struct tool_note **at = &l->notes, *n; (n = *at);)
        if (all || n->result) {
            *at = n->next;
            note_free(n);
            l->n--;
        } else {
            at = &n->next;
        }
}

void ledger_turn(struct ledger *l)
{
    drop(l, false);
}

void ledger_free(struct ledger *l)
{
    drop(l, true);
}

bool ledger_running(const struct ledger *l)
{
    for (const struct tool_note *n = l->notes; n; n = n->next)
        if (!n->result)
            return true;
    return false;
}

struct pat_json *ledger_save(const struct ledger *l)
{
    struct pat_json *all = l->notes ? pat_json_arr() : NULL;

    for (const struct tool_note *n = l->notes; n; n = n->next) {
        struct pat_json *j = pat_json_obj();

        pat_json_set_str(j, "key", n->key.s);
        pat_json_set_str(j, "id", n->call_id);
        pat_json_set_str(j, "name", n->name);
        pat_json_set_str(j, "arguments", n->arguments);
        pat_json_set_str(j, "result", n->result);
        pat_json_set_bool(j, "checked", n->checked);
        pat_json_add_take(all, j);
    }
    return all;
}

static struct tool_note *note_from(const struct pat_json *j)
{
    const char *key = pat_json_str_or(j, "key", ""), *result = pat_json_str_or(j, "result", NULL);
    struct tool_note *n = pat_id_valid(key) ? calloc(1, sizeof *n) : NULL;

    if (!n)
        return NULL;
    pat_strcpy(n->key.s, sizeof n->key.s, key);
    n->arguments = strdup(pat_json_str_or(j, "arguments", "{}"));
    n->result = result ? strdup(result) : NULL;
    n->checked = pat_json_bool_or(j, "checked", false);
    if (!n->arguments || (result && !n->result) ||
        !pat_strcpy(n->call_id, sizeof n->call_id, pat_json_str_or(j, "id", "")) ||
        !pat_strcpy(n->name, sizeof n->name, pat_json_str_or(j, "name", ""))) {
        note_free(n);
        return NULL;
    }
    return n;
}

int ledger_load(struct ledger *l, const struct pat_json *saved)
{
    if (!saved)
        return PAT_OK;
    PAT_JSON_EACH(j, saved)
    {
        struct tool_note *n = l->n < LEDGER_NOTES ? note_from(j) : NULL;

        if (!n)
            return PAT_EPROTO;
        append(l, n);
    }
    return PAT_OK;
}

struct pat_json *ledger_as_called(const struct ledger *l)
{
    struct pat_json *all = pat_json_arr();

    for (const struct tool_note *n = l->notes; n; n = n->next) {
        struct pat_json *j = pat_json_obj(), *f = pat_json_obj();

        pat_json_set_str(f, "name", n->name);
        pat_json_set_str(f, "arguments", n->arguments);
        pat_json_set_str(j, "id", n->call_id);
        pat_json_set_str(j, "type", "function");
        pat_json_set_take(j, "function", f);
        pat_json_add_take(all, j);
    }
    return all;
}
