/* usage.c - see usage.h. */
#include "usage.h"

#include <ctype.h>
#include <string.h>

static const struct {
    const char *name, *unit;
} whats[USAGE_WHATS] = {
    [USAGE_STT] = { "stt", "second" },
    [USAGE_STT_AUDIO] = { "stt_audio", "second" },
    [USAGE_LLM_IN] = { "llm_in", "token" },
    [USAGE_LLM_CACHED] = { "llm_cached", "token" },
    [USAGE_LLM_OUT] = { "llm_out", "token" },
    [USAGE_TTS] = { "tts_chars", "character" },
    [USAGE_TTS_CACHED] = { "tts_cached_chars", "character" },
    [USAGE_AGENT] = { "agent", "second" },
    [USAGE_SIP] = { "sip", "second" },
    [USAGE_PARTICIPANT] = { "participant", "second" },
};

const char *usage_name(enum usage_what what)
{
    return whats[what].name;
}

const char *usage_unit(enum usage_what what)
{
    return whats[what].unit;
}

void usage_vendor(const char *account, char out[32])
{
    const char *dash = strrchr(account, '-');

    pat_strcpy(out, 32, account);
    if (dash && dash[1] && strspn(dash + 1, "0123456789") == strlen(dash + 1) &&
        (size_t)(dash - account) < 32)
        out[dash - account] = 0;
}

static struct usage_line *line_of(struct usage *u, enum usage_what what, const char *account,
                                  const char *model)
{
    struct usage_line *l = u->line;

    while (l < u->line + u->n &&
           (l->what != what || strcmp(l->account, account) != 0 || strcmp(l->model, model) != 0))
        l++;
    if (l < u->line + u->n)
        return l;
    if (u->n == USAGE_LINES)
        return NULL;
    u->n++;
    *l = (struct usage_line){ .what = what };
    pat_strcpy(l->account, sizeof l->account, account);
    pat_strcpy(l->model, sizeof l->model, model);
    return l;
}

void usage_add(struct usage *u, enum usage_what what, const char *account, const char *model,
               int64_t milli)
{
    struct usage_line *l;

    if (milli <= 0)
        return;
    l = line_of(u, what, account && *account ? account : "unknown", model ? model : "");
    if (l)
        l->milli += milli;
    else
        u->lost++;
}

void usage_add_all(struct usage *u, const struct usage *more)
{
    for (size_t i = 0; i < more->n; i++)
        usage_add(u, more->line[i].what, more->line[i].account, more->line[i].model,
                  more->line[i].milli);
    u->lost += more->lost;
}

int64_t usage_sum(const struct usage *u, enum usage_what what)
{
    int64_t sum = 0;

    for (size_t i = 0; i < u->n; i++)
        sum += u->line[i].what == what ? u->line[i].milli : 0;
    return sum;
}

struct pat_json *usage_save(const struct usage *u)
{
    struct pat_json *all = pat_json_arr();

    for (size_t i = 0; i < u->n; i++) {
        struct pat_json *j = pat_json_obj();

        pat_json_set_str(j, "component", usage_name(u->line[i].what));
        pat_json_set_str(j, "account", u->line[i].account);
        pat_json_set_str(j, "model", u->line[i].model);
        pat_json_set_int(j, "milli", u->line[i].milli);
        pat_json_add_take(all, j);
    }
    return all;
}

void usage_load(struct usage *u, const struct pat_json *saved)
{
    if (!saved)
        return;
    PAT_JSON_EACH(j, saved)
    {
        const char *name = pat_json_str_or(j, "component", "");

        for (int w = 0; w < USAGE_WHATS; w++)
            if (strcmp(name, whats[w].name) == 0)
                usage_add(u, (enum usage_what)w, pat_json_str_or(j, "account", ""),
                          pat_json_str_or(j, "model", ""), pat_json_int_or(j, "milli", 0));
    }
}

/* A price of this very account goes before its vendor's, as in patchbay.price_at. */
static int cost_of(const struct usage_line *l, const struct pat_prices *p, int64_t at_ms,
                   int64_t *microusd)
{
    char vendor[32];
    struct pat_metered m = { l->account, usage_name(l->what), l->model, l->milli, at_ms };
    int err = pat_prices_cost(p, &m, microusd);

    if (err != PAT_ENOENT)
        return err;
    usage_vendor(l->account, vendor);
    m.provider = vendor;
    return pat_prices_cost(p, &m, microusd);
}

int64_t usage_cost(const struct usage *u, const struct pat_prices *p, int64_t at_ms,
                   size_t *unpriced)
{
    int64_t sum = 0;

    if (unpriced)
        *unpriced = 0;
    for (size_t i = 0; i < u->n; i++) {
        int64_t cost = 0;

        if (cost_of(&u->line[i], p, at_ms, &cost) == PAT_OK)
            sum += cost;
        else if (unpriced)
            ++*unpriced;
    }
    return sum;
}
