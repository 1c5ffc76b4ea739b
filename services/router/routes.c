/* routes.c - the table of numbers: see routes.h. Where rows come from is routes_load.c's subject.
 */
#include "routes.h"

#include "packer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Everything of one number in one allocation: a million of them are to fit in 300 MB. Behind it in
 * data: Retell's agent id, then the settings, compressed. */
struct entry {
    uint64_t number; /* its digits */
    struct entry *next_of_user;
    const struct policies *policies;
    int64_t version;
    unsigned char user[16], agent[16];
    int32_t retell_version;
    uint32_t settings_len; /* as text; 0: there are none */
    uint32_t packed_len;
    unsigned char retell_len, share, generation;
    unsigned stack : 2;
    bool active : 1, on_livekit : 1, seen : 1, has_agent : 1;
    char data[];
};
_Static_assert(offsetof(struct entry, data) == 80, "not a byte more, a million times");

/* By number, and the first of each user by user: open addressing, half full at most. */
struct slots {
    struct entry **v;
    size_t cap, used;
};

enum { SCRATCH = 8 };

struct routes_table {
    struct slots by_number, by_user;
    struct policy_set *policies;
    struct packer *packer;
    unsigned char generation;
    struct route out[SCRATCH]; /* what find has given, in turns */
    char *settings[SCRATCH];
    unsigned next_out;
};

const char *stack_name(enum stack s)
{
    static const char *const names[] = {
        [STACK_NONE] = "none", [STACK_RETELL] = "retell", [STACK_LIVEKIT] = "livekit"
    };

    return names[s];
}

enum stack stack_parse(const char *s)
{
    if (!strcmp(s, "retell"))
        return STACK_RETELL;
    return strcmp(s, "livekit") ? STACK_NONE : STACK_LIVEKIT;
}

/* ------------------------------------------------------------------ ids and slots */

static bool pack_id(unsigned char out[16], const char *id)
{
    int at = 0;

    for (const char *s = id; *s; s++) {
        int digit = *s >= '0' && *s <= '9' ? *s - '0' : *s >= 'a' && *s <= 'f' ? *s - 'a' + 10 : -1;

        if (*s == '-')
            continue;
        if (digit < 0 || at == 32)
            return false;
        out[at / 2] = (unsigned char)(at % 2 ? out[at / 2] | digit : digit << 4);
        at++;
    }
    return at == 32;
}

static void print_id(char out[PAT_ID_LEN + 1], const unsigned char id[16])
{
    static const char hex[] = "0123456789abcdef";
    char *o = out;

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *o++ = '-';
        *o++ = hex[id[i] >> 4];
        *o++ = hex[id[i] & 15];
    }
    *o = 0;
}

static size_t stir(uint64_t h)
{
    h = (h ^ (h >> 31)) * 0x9e3779b97f4a7c15U;
    return (size_t)(h ^ (h >> 29));
}

static size_t hash_user(const unsigned char user[16])
{
    uint64_t a, b;

    memcpy(&a, user, 8);
    memcpy(&b, user + 8, 8);
    return stir(a ^ (b * 31));
}

static size_t hash_of(const struct entry *e, bool user)
{
    return user ? hash_user(e->user) : stir(e->number);
}

static bool same(const struct entry *a, const struct entry *b, bool user)
{
    return user ? !memcmp(a->user, b->user, sizeof a->user) : a->number == b->number;
}

/* Where e's key stands, or would. */
static size_t place(const struct slots *s, const struct entry *e, bool user)
{
    size_t i = hash_of(e, user) & (s->cap - 1);

    while (s->v[i] && !same(s->v[i], e, user))
        i = (i + 1) & (s->cap - 1);
    return i;
}

static int make_room(struct slots *s, bool user)
{
    struct slots bigger = { .cap = s->cap ? 2 * s->cap : 64, .used = s->used };

    if (2 * (s->used + 1) <= s->cap)
        return PAT_OK;
    bigger.v = calloc(bigger.cap, sizeof *bigger.v);
    if (!bigger.v)
        return PAT_ENOMEM;
    for (size_t i = 0; i < s->cap; i++)
        if (s->v[i])
            bigger.v[place(&bigger, s->v[i], user)] = s->v[i];
    free(s->v);
    *s = bigger;
    return PAT_OK;
}

/* Those behind move up, so that no search meets a hole too early. */
static void take_out(struct slots *s, size_t i, bool user)
{
    size_t mask = s->cap - 1;

    s->v[i] = NULL;
    s->used--;
    for (size_t k = (i + 1) & mask; s->v[k]; k = (k + 1) & mask) {
        struct entry *e = s->v[k];

        s->v[k] = NULL;
        s->v[place(s, e, user)] = e;
    }
}

static struct entry *find_number(const struct routes_table *t, const char *number)
{
    struct entry key = { .number = *number == '+' ? strtoull(number + 1, NULL, 10) : 0 };

    return t->by_number.cap && key.number ? t->by_number.v[place(&t->by_number, &key, false)]
                                          : NULL;
}

static struct entry *find_user(const struct routes_table *t, const char *user)
{
    struct entry key;

    if (!t->by_user.cap || !pack_id(key.user, user))
        return NULL;
    return t->by_user.v[place(&t->by_user, &key, true)];
}

static void unlink_user(struct routes_table *t, struct entry *e)
{
    size_t i = place(&t->by_user, e, true);
    struct entry **at = &t->by_user.v[i];

    while (*at != e)
        at = &(*at)->next_of_user;
    *at = e->next_of_user;
    if (!t->by_user.v[i])
        take_out(&t->by_user, i, true);
}

static void release(struct routes_table *t, struct entry *e)
{
    policy_put(t->policies, e->policies);
    packer_forget(t->packer, e->data + e->retell_len);
    free(e);
}

static void drop(struct routes_table *t, struct entry *e)
{
    unlink_user(t, e);
    take_out(&t->by_number, place(&t->by_number, e, false), false);
    release(t, e);
}

/* ------------------------------------------------------------------ life */

int routes_table_new(struct routes_table **out)
{
    struct routes_table *t = calloc(1, sizeof *t);
    int err = t ? policy_set_new(&t->policies) : PAT_ENOMEM;

    if (!err)
        err = packer_new(&t->packer);
    if (err) {
        routes_table_free(t);
        return err;
    }
    *out = t;
    return PAT_OK;
}

void routes_table_free(struct routes_table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->by_number.cap; i++)
        if (t->by_number.v[i])
            release(t, t->by_number.v[i]);
    for (int i = 0; i < SCRATCH; i++)
        free(t->settings[i]);
    free(t->by_number.v);
    free(t->by_user.v);
    packer_free(t->packer);
    policy_set_free(t->policies);
    free(t);
}

/* ------------------------------------------------------------------ asking */

/* What an entry's settings repeat: their packing need not say it again. */
static int known_words(char out[PACKER_HINT_MAX], const struct route *r)
{
    return snprintf(out, PACKER_HINT_MAX, "%s\"%s\"%s\"%s", r->retell_agent.id, r->user,
                    r->agent_config, r->number);
}

static const struct route *unpack(struct routes_table *t, const struct entry *e)
{
    unsigned at = t->next_out++ % SCRATCH;
    struct route *r = &t->out[at];
    char hint[PACKER_HINT_MAX];

    *r = (struct route){ .version = e->version,
                         .stack = (enum stack)e->stack,
                         .active = e->active,
                         .on_livekit = e->on_livekit,
                         .share = e->share,
                         .policies = e->policies };
    snprintf(r->number, sizeof r->number, "+%llu", (unsigned long long)e->number);
    print_id(r->user, e->user);
    if (e->has_agent)
        print_id(r->agent_config, e->agent);
    memcpy(r->retell_agent.id, e->data, e->retell_len);
    r->retell_agent.version = e->retell_version;
    free(t->settings[at]);
    t->settings[at] = NULL;
    if (e->settings_len) {
        (void)known_words(hint, r);
        t->settings[at] =
            packer_unpack(t->packer, hint, e->data + e->retell_len, e->packed_len, e->settings_len);
    }
    r->settings = t->settings[at];
    return r;
}

const struct route *routes_table_find(struct routes_table *t, const char *number)
{
    const struct entry *e = find_number(t, number);

    return e ? unpack(t, e) : NULL;
}

bool routes_table_has(const struct routes_table *t, const char *number)
{
    return find_number(t, number);
}

/* Rows of one user have one version; were they ever apart, the oldest counts. */
int64_t routes_table_user_version(const struct routes_table *t, const char *user)
{
    int64_t v = INT64_MAX;

    for (const struct entry *e = find_user(t, user); e; e = e->next_of_user)
        v = e->version < v ? e->version : v;
    return v;
}

size_t routes_table_count(const struct routes_table *t)
{
    return t->by_number.used;
}

/* ------------------------------------------------------------------ rows */

/* Which agents exist is the switch's business: it writes stack_config when it provisions one. */
static bool has_livekit_agent(const struct pat_json *settings)
{
    return settings && pat_json_at(settings, "stack_config.livekit");
}

static int read_row(struct route *r, const struct pat_json *row)
{
    const struct pat_json *settings = pat_json_at(row, "settings");
    const char *number, *user;
    struct pat_json_err why;
    int err = pat_json_get_str(row, "number", &number, &why);

    if (!err)
        err = pat_json_get_id(row, "user_id", &user, &why);
    if (!err && !number_e164(number))
        err = PAT_EINVAL;
    if (err)
        return err;
    pat_strcpy(r->number, sizeof r->number, number);
    pat_strcpy(r->user, sizeof r->user, user);
    pat_strcpy(r->agent_config, sizeof r->agent_config,
               pat_json_str_or(row, "agent_config_id", ""));
    if (!pat_strcpy(r->retell_agent.id, sizeof r->retell_agent.id,
                    pat_json_str_or(row, "retell_agent_id", "")))
        r->retell_agent.id[0] = 0;
    r->retell_agent.version = pat_json_int_or(row, "retell_agent_version", -1);
    r->stack = stack_parse(pat_json_str_or(row, "stack", ""));
    r->version = pat_json_int_or(row, "version", 0);
    r->active =
        pat_json_bool_or(row, "is_active", false) && r->stack != STACK_NONE && *r->agent_config;
    r->share = (int)pat_json_int_or(row, "share", 0) & 127;
    r->on_livekit = r->stack == STACK_LIVEKIT || r->share || has_livekit_agent(settings);
    return PAT_OK;
}

/* *out NULL: there are none. */
static int print_settings(char **out, const struct pat_json *row)
{
    const struct pat_json *settings = pat_json_at(row, "settings");

    *out = NULL;
    if (!settings || pat_json_kind(settings) != PAT_JSON_OBJ)
        return PAT_OK;
    *out = pat_json_print(settings);
    return *out ? PAT_OK : PAT_ENOMEM;
}

static struct entry *entry_new(struct routes_table *t, const struct route *r, const char *settings)
{
    size_t retell = strlen(r->retell_agent.id), len = settings ? strlen(settings) : 0,
           packed_len = 0;
    char hint[PACKER_HINT_MAX];
    const void *packed = NULL;
    struct entry *e = NULL;

    (void)known_words(hint, r);
    if (len && packer_pack(t->packer, hint, settings, len, &packed, &packed_len))
        return NULL;
    e = malloc(sizeof *e + retell + packed_len);
    if (!e)
        return NULL;
    *e = (struct entry){ .number = strtoull(r->number + 1, NULL, 10),
                         .policies = r->policies,
                         .version = r->version,
                         .settings_len = (uint32_t)len,
                         .packed_len = (uint32_t)packed_len,
                         .retell_len = (unsigned char)retell,
                         .share = (unsigned char)r->share };
    e->stack = (unsigned)r->stack & 3U;
    e->retell_version = (int32_t)r->retell_agent.version;
    e->active = r->active;
    e->on_livekit = r->on_livekit;
    e->seen = true;
    e->generation = t->generation;
    e->has_agent = *r->agent_config && pack_id(e->agent, r->agent_config);
    memcpy(e->data, r->retell_agent.id, retell);
    if (packed_len)
        memcpy(e->data + retell, packed, packed_len);
    if (pack_id(e->user, r->user))
        return e;
    free(e);
    return NULL;
}

static void put_entry(struct routes_table *t, struct entry *e)
{
    struct entry **at;

    t->by_number.v[place(&t->by_number, e, false)] = e;
    t->by_number.used++;
    at = &t->by_user.v[place(&t->by_user, e, true)];
    t->by_user.used += !*at;
    e->next_of_user = *at;
    *at = e;
}

static bool is_older(struct entry *known, const struct route *fresh)
{
    char user[PAT_ID_LEN + 1];

    if (!known)
        return false;
    print_id(user, known->user);
    return !strcmp(user, fresh->user) && fresh->version < known->version;
}

int routes_table_put(struct routes_table *t, struct pat_json *row_take)
{
    struct route fresh = { 0 };
    PAT_AUTO_STR settings = NULL;
    struct entry *known, *e;
    int err = read_row(&fresh, row_take);

    if (!err)
        err = make_room(&t->by_number, false);
    if (!err)
        err = make_room(&t->by_user, true);
    if (!err)
        err = print_settings(&settings, row_take);
    if (err)
        goto out;
    known = find_number(t, fresh.number);
    if (is_older(known, &fresh)) {
        known->seen = true;
        known->generation = t->generation;
        err = PAT_ESTALE;
        goto out;
    }
    fresh.policies = policy_get(t->policies, pat_json_at(row_take, "policies"));
    e = fresh.policies ? entry_new(t, &fresh, settings) : NULL;
    if (!e) {
        policy_put(t->policies, fresh.policies);
        err = PAT_ENOMEM;
        goto out;
    }
    if (known)
        drop(t, known);
    put_entry(t, e);
out:
    pat_json_free(row_take);
    return err;
}

void routes_table_unsee(struct routes_table *t, const char *user)
{
    if (!user)
        t->generation++;
    else
        for (struct entry *e = find_user(t, user); e; e = e->next_of_user)
            e->seen = false;
}

void routes_table_drop_unseen(struct routes_table *t, const char *user)
{
    struct entry *e = user ? find_user(t, user) : NULL, *next;

    for (; e; e = next) {
        next = e->next_of_user;
        if (!e->seen)
            drop(t, e);
    }
    for (size_t i = 0; !user && i < t->by_number.cap;) {
        e = t->by_number.v[i];
        if (e && e->generation != t->generation)
            drop(t, e); /* another may stand here now */
        else
            i++;
    }
}

static int print_row(const struct route *r, struct pat_buf *out)
{
    const char *policies = policy_text(r->policies);

    pat_buf_addf(out, "{\"number\":\"%s\",\"user_id\":\"%s\",\"stack\":\"%s\",", r->number, r->user,
                 stack_name(r->stack));
    if (*r->agent_config)
        pat_buf_addf(out, "\"agent_config_id\":\"%s\",", r->agent_config);
    if (*r->retell_agent.id) {
        pat_buf_adds(out, "\"retell_agent_id\":");
        pat_json_quote(out, r->retell_agent.id, strlen(r->retell_agent.id));
        pat_buf_addf(out, ",\"retell_agent_version\":%lld,", (long long)r->retell_agent.version);
    }
    pat_buf_addf(out,
                 "\"is_active\":%s,\"version\":%lld,\"settings\":", r->active ? "true" : "false",
                 (long long)r->version);
    pat_buf_adds(out, r->settings ? r->settings : "null");
    pat_buf_adds(out, ",\"policies\":");
    pat_buf_adds(out, policies ? policies : "null");
    return pat_buf_adds(out, "}\n");
}

int routes_table_print(struct routes_table *t, size_t *at, size_t rows, struct pat_buf *out)
{
    for (; *at < t->by_number.cap && rows; ++*at) {
        const struct entry *e = t->by_number.v[*at];
        int err = e ? print_row(unpack(t, e), out) : PAT_OK;

        if (err)
            return err;
        rows -= e != NULL;
    }
    return PAT_OK;
}

bool routes_table_printed(const struct routes_table *t, size_t at)
{
    return at >= t->by_number.cap;
}
