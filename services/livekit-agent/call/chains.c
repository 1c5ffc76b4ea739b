/* chains.c - see chains.h. */
#include "chains.h"

#include <string.h>

enum { ACCOUNTS = 6, CHAIN_MAX = 4096 };

static const char *or_else(const char *s, const char *other)
{
    return s && *s ? s : other ? other : "";
}

static struct provider_account first(const char *name, enum provider_vendor v, const char *url,
                                     const char *key)
{
    return (struct provider_account){ .name = name,
                                      .vendor = v,
                                      .url = or_else(url, ""),
                                      .key = or_else(key, ""),
                                      .is_set = true,
                                      .stt_model = "",
                                      .llm_model = "",
                                      .tts_model = "" };
}

static struct provider_account second(const struct provider_account *a, const char *name,
                                      const char *url, const char *key)
{
    struct provider_account b = *a;

    b.name = name;
    b.is_set = (url && *url) || (key && *key);
    b.url = or_else(url, a->url);
    b.key = or_else(key, a->key);
    return b;
}

/* In the order chains are made of when none is set. */
static void accounts_of(const struct agent_conf *c, struct provider_account a[ACCOUNTS])
{
    a[0] = first("deepgram", VENDOR_DEEPGRAM, c->deepgram_url, c->deepgram_key);
    a[0].stt_model = or_else(c->deepgram_model, "");
    a[1] = second(&a[0], "deepgram-2", c->second[0].url, c->second[0].key);
    a[2] = first("elevenlabs", VENDOR_ELEVENLABS, c->elevenlabs_url, c->elevenlabs_key);
    a[2].tts_model = or_else(c->elevenlabs_model, "");
    a[3] = second(&a[2], "elevenlabs-2", c->second[1].url, c->second[1].key);
    a[4] = first("openai", VENDOR_OPENAI, c->openai_url, c->openai_key);
    a[4].llm_model = or_else(c->openai_models, "");
    a[4].tts_model = or_else(c->openai_tts_model, "");
    a[5] = second(&a[4], "openai-2", c->second[2].url, c->second[2].key);
}

static const char *set_list(const struct agent_conf *c, enum provider_part part)
{
    return or_else(part == PROVIDER_STT   ? c->stt_chain
                   : part == PROVIDER_LLM ? c->llm_chain
                                          : c->tts_chain,
                   "");
}

static const char *setting(enum provider_part part)
{
    return part == PROVIDER_STT   ? "PAT_STT_CHAIN"
           : part == PROVIDER_LLM ? "PAT_LLM_CHAIN"
                                  : "PAT_TTS_CHAIN";
}

static void add(struct pat_buf *b, const char *name, const char *model, size_t len)
{
    pat_buf_addf(b, "%s%s%s%.*s", b->len ? "," : "", name, len ? ":" : "", (int)len, model);
}

static bool speaks(const struct provider_account *a, enum provider_part part)
{
    return a->is_set && *(part == PROVIDER_STT ? a->stt_model : a->tts_model);
}

/* Yours to free; NULL: out of memory. */
static char *list_of(const struct agent_conf *c, enum provider_part part,
                     const struct provider_account *a)
{
    const char *models = c->openai_models ? c->openai_models : "";
    struct pat_buf b;
    size_t len, n = 0;

    pat_buf_init(&b, CHAIN_MAX);
    pat_buf_adds(&b, set_list(c, part));
    if (b.len)
        return pat_buf_take(&b);
    for (int i = 0; part != PROVIDER_LLM && i < ACCOUNTS; i++)
        if (speaks(&a[i], part))
            add(&b, a[i].name, "", 0);
    for (; part == PROVIDER_LLM && *models; models += len) {
        models += strspn(models, ", ");
        len = strcspn(models, ", ");
        for (int i = 4; len && i < ACCOUNTS && n < PROVIDER_STEPS; i++)
            if (a[i].is_set) {
                add(&b, a[i].name, models, len);
                n++;
            }
    }
    if (!b.len)
        pat_buf_adds(&b, "");
    return pat_buf_take(&b);
}

void chains_check(const struct agent_conf *c, struct pat_buf *errors)
{
    struct provider_account a[ACCOUNTS];

    accounts_of(c, a);
    for (int part = 0; part < PROVIDER_PARTS; part++) {
        PAT_AUTO_STR list = list_of(c, (enum provider_part)part, a);
        struct pat_buf err;

        pat_buf_init(&err, CHAIN_MAX);
        if (list && *set_list(c, (enum provider_part)part) &&
            providers_check((enum provider_part)part, list, a, ACCOUNTS, &err))
            pat_buf_addf(errors, "%s: %s\n", setting((enum provider_part)part),
                         err.data ? err.data : "");
        pat_buf_fini(&err);
    }
}

int chains_new(struct providers **out, const struct agent_conf *c, struct pat_metrics *m,
               provider_change_fn *changed, void *arg)
{
    struct provider_account a[ACCOUNTS];
    struct providers *t;
    int err = providers_new(&t, m, changed, arg);

    if (err)
        return err;
    providers_refused_for(t, c->refused_ms);
    accounts_of(c, a);
    for (int part = 0; part < PROVIDER_PARTS && !err; part++) {
        PAT_AUTO_STR list = list_of(c, (enum provider_part)part, a);
        struct pat_buf why;

        pat_buf_init(&why, CHAIN_MAX);
        err = list ? providers_chain(t, (enum provider_part)part, list, a, ACCOUNTS, &why)
                   : PAT_ENOMEM;
        if (err)
            pat_log(PAT_ERROR, "agent.chain",
                    PAT_S("part", provider_part_name((enum provider_part)part)),
                    PAT_S("why", why.data ? why.data : ""));
        pat_buf_fini(&why);
    }
    if (err)
        providers_free(t);
    else
        *out = t;
    return err;
}
