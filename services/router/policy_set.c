/* policy_set.c - what users have chosen, read from patchbay.route_policies and kept once per
 * choice.
 *
 * The key is the row's JSON text: Postgres prints the same choices alike. A million users with
 * defaults share one entry, which is not even in the table.
 */
#include "policy_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct zone {
    char name[POLICY_ZONE_MAX];
    struct pat_tz *tz;
    UT_hash_handle hh;
};

struct policy_set {
    struct policies *used; /* by text */
    struct zone *zones;    /* for good: there are few */
    struct pat_tz *utc;
    struct policies defaults;
};

static const struct policy_wishes default_wishes = { .block = POLICY_BUSY,
                                                     .after_hours = POLICY_VOICEMAIL,
                                                     .over_limit = POLICY_BUSY,
                                                     .over_budget = POLICY_VOICEMAIL,
                                                     .daily_forward_cents = -1 };

int policy_set_new(struct policy_set **out)
{
    struct policy_set *s = calloc(1, sizeof *s);
    int err = s ? pat_tz_load(&s->utc, "UTC") : PAT_ENOMEM;

    if (err) {
        free(s);
        return err;
    }
    s->defaults.tz = s->utc;
    s->defaults.want = default_wishes;
    s->defaults.want.ladder = ladder_default();
    s->defaults.quiet_from = s->defaults.quiet_to = -1;
    *out = s;
    return PAT_OK;
}

static void release(struct policies *p)
{
    free(p->block);
    free(p->contacts);
    free(p->countries);
    free(p->ranges);
    free(p->holidays);
    free(p->text);
    free(p);
}

void policy_set_free(struct policy_set *s)
{
    struct policies *p, *next;
    struct zone *z, *next_z;

    if (!s)
        return;
    HASH_ITER(hh, s->used, p, next)
    {
        HASH_DEL(s->used, p);
        release(p);
    }
    HASH_ITER(hh, s->zones, z, next_z)
    {
        HASH_DEL(s->zones, z);
        pat_tz_free(z->tz);
        free(z);
    }
    pat_tz_free(s->utc);
    free(s);
}

/* ------------------------------------------------------------------ reading */

static void ignored(const char *field)
{
    pat_log(PAT_WARN, "policy.ignored", PAT_S("field", field));
}

static void read_do(unsigned char *out, const struct pat_json *j, const char *key)
{
    static const char *const names[] = { [POLICY_SERVE] = "serve",
                                         [POLICY_FORWARD] = "forward",
                                         [POLICY_VOICEMAIL] = "voicemail",
                                         [POLICY_BUSY] = "busy",
                                         [POLICY_REJECT] = "reject" };
    const char *name = pat_json_str_or(j, key, NULL);

    if (!name)
        return;
    for (unsigned char i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!strcmp(names[i], name)) {
            *out = i;
            return;
        }
    ignored(key);
}

static void read_number(char out[NUMBER_MAX], const struct pat_json *j, const char *key)
{
    const char *s = pat_json_str_or(j, key, "");

    if (*s && !number_e164(s))
        ignored(key);
    else
        pat_strcpy(out, NUMBER_MAX, s);
}

static unsigned read_count(const struct pat_json *j, const char *key)
{
    int64_t n = pat_json_int_or(j, key, 0);

    return n > 0 && n < 1000000000 ? (unsigned)n : 0;
}

static void read_ladder(struct ladder *out, const struct pat_json *j)
{
    const struct pat_json *list = pat_json_at(j, "fallback");
    struct ladder l = { .n = 0 };

    if (!list || pat_json_kind(list) != PAT_JSON_ARR)
        return;
    PAT_JSON_EACH(item, list)
    {
        const char *name = pat_json_value_str(item);

        if (!name || ladder_add(&l, name))
            ignored("fallback");
    }
    *out = l;
}

static void read_wishes(struct policy_wishes *w, const struct pat_json *j)
{
    read_do(&w->block, j, "block_action");
    read_do(&w->withheld, j, "withheld");
    read_do(&w->whitelist, j, "whitelist");
    read_do(&w->unknown, j, "unknown");
    read_do(&w->after_hours, j, "after_hours");
    read_do(&w->over_limit, j, "over_limit");
    read_do(&w->over_budget, j, "over_budget");
    w->budget_spent = pat_json_bool_or(j, "budget_spent", false);
    w->strict = !strcmp(pat_json_str_or(j, "vetting", ""), "strict");
    w->max_concurrent = read_count(j, "max_concurrent");
    w->max_per_minute = read_count(j, "max_per_minute");
    w->daily_forward_cents = (int)pat_json_int_or(j, "daily_forward_cents", -1);
    read_number(w->forward, j, "forward_number");
    read_number(w->after_hours_number, j, "after_hours_number");
    read_number(w->fallback_number, j, "fallback_number");
    read_ladder(&w->ladder, j);
}

/* Digits behind the plus, and of a beginning ("+1900*") how many. */
static bool read_pattern(struct policy_number *out, const char *s)
{
    size_t n = *s == '+' ? strspn(s + 1, "0123456789") : 0;
    bool prefix = n && s[1 + n] == '*';

    if (!n || n > 15 || s[1 + n + prefix])
        return false;
    *out = (struct policy_number){ strtoull(s + 1, NULL, 10), (unsigned char)n, prefix };
    return true;
}

static int read_numbers(struct policy_number **out, size_t *n, const struct pat_json *j,
                        const char *key, bool prefixes)
{
    const struct pat_json *list = pat_json_at(j, key);
    size_t size = list && pat_json_kind(list) == PAT_JSON_ARR ? pat_json_size(list) : 0;

    if (!size)
        return PAT_OK;
    *out = calloc(size, sizeof **out);
    if (!*out)
        return PAT_ENOMEM;
    PAT_JSON_EACH(item, list)
    {
        const char *s = pat_json_value_str(item);

        if (s && read_pattern(&(*out)[*n], s) && (prefixes || !(*out)[*n].prefix))
            ++*n;
        else
            ignored(key);
    }
    return PAT_OK;
}

static int read_countries(struct policies *p, const struct pat_json *j)
{
    const struct pat_json *list = pat_json_at(j, "countries");
    size_t at = 0;

    if (!list || pat_json_kind(list) != PAT_JSON_ARR)
        return PAT_OK;
    p->countries = calloc(2 * pat_json_size(list) + 1, 1); /* "USCADE" */
    if (!p->countries)
        return PAT_ENOMEM;
    PAT_JSON_EACH(item, list)
    {
        const char *s = pat_json_value_str(item);

        if (s && strlen(s) == 2) {
            memcpy(p->countries + at, s, 2);
            at += 2;
        } else {
            ignored("countries");
        }
    }
    return PAT_OK;
}

/* A zone that cannot be had is UTC, and said. */
static const struct pat_tz *find_zone(struct policy_set *s, const char *name)
{
    struct zone *z;
    int err;

    if (!*name || strlen(name) >= POLICY_ZONE_MAX)
        return s->utc;
    HASH_FIND_STR(s->zones, name, z);
    if (z)
        return z->tz ? z->tz : s->utc;
    z = calloc(1, sizeof *z);
    if (!z)
        return s->utc;
    pat_strcpy(z->name, sizeof z->name, name);
    err = pat_tz_load(&z->tz, name);
    if (err)
        pat_log(PAT_WARN, "policy.zone_unknown", PAT_S("zone", name), PAT_ERR(err));
    HASH_ADD_STR(s->zones, name, z);
    return z->tz ? z->tz : s->utc;
}

static int read_all(struct policy_set *s, struct policies *p, const struct pat_json *j)
{
    int err;

    read_wishes(&p->want, j);
    p->tz = find_zone(s, pat_json_str_or(j, "time_zone", ""));
    err = read_numbers(&p->block, &p->n_block, j, "block", true);
    if (!err)
        err = read_numbers(&p->contacts, &p->n_contacts, j, "contacts", false);
    if (!err)
        err = read_countries(p, j);
    if (!err)
        err = policy_read_hours(p, j);
    policy_sort(p);
    return err;
}

const struct policies *policy_get(struct policy_set *s, const struct pat_json *json)
{
    struct policies *p;
    char *text;

    if (!json || pat_json_kind(json) != PAT_JSON_OBJ || !pat_json_size(json))
        return &s->defaults;
    text = pat_json_print(json);
    if (!text)
        return NULL;
    HASH_FIND_STR(s->used, text, p);
    if (p) {
        free(text);
        p->refs++;
        return p;
    }
    p = calloc(1, sizeof *p);
    if (!p) {
        free(text);
        return NULL;
    }
    *p = s->defaults;
    p->refs = 1;
    p->text = text;
    if (read_all(s, p, json)) {
        release(p);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, s->used, p->text, strlen(p->text), p);
    return p;
}

void policy_put(struct policy_set *s, const struct policies *p)
{
    struct policies *own;

    if (!p || !p->text)
        return; /* nobody's, or the defaults */
    HASH_FIND_STR(s->used, p->text, own);
    if (!own || --own->refs)
        return;
    HASH_DEL(s->used, own);
    release(own);
}

const char *policy_text(const struct policies *p)
{
    return p->text;
}

const struct policy_wishes *policy_wishes(const struct policies *p)
{
    return &p->want;
}
