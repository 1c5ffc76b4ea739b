/* provider.c - see provider.h: lists read, breakers kept, gauges set.
 *
 * It does not talk to anybody; who does tells it how that went.
 */
#include "provider.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    FAILURES = 3,       /* in a row, then the step is left out ... */
    OPEN_MS = 15000,    /* ... for so long */
    REFUSED_MS = 60000, /* a wrong key does not mend itself; somebody may mend it at the vendor */
    RATE_MS = 2000,     /* when the vendor does not say how long */
    RATE_MAX_MS = 60000,
};

static const char *const parts[] = { "stt", "llm", "tts" };
static const char *const vendors[] = { "deepgram", "openai", "elevenlabs" };

static const struct {
    const char *name;
    int err;
} faults[FAULTS] = {
    [FAULT_CONNECTION] = { "connection", PAT_ECONN },
    [FAULT_TIMEOUT] = { "timeout", PAT_ETIMEDOUT },
    [FAULT_SERVER] = { "server", PAT_EUPSTREAM },
    [FAULT_RATE] = { "rate", PAT_EAGAIN },
    [FAULT_QUOTA] = { "quota", PAT_EUPSTREAM },
    [FAULT_AUTH] = { "auth", PAT_EAUTH },
    [FAULT_MODEL] = { "model", PAT_ENOENT },
    [FAULT_VOICE] = { "voice", PAT_ENOENT },
    [FAULT_REQUEST] = { "request", PAT_EINVAL },
    [FAULT_CONTENT] = { "content", PAT_EINVAL },
};

struct providers {
    struct pat_metrics *metrics;
    provider_change_fn *changed;
    void *arg;
    int64_t refused_ms;
    struct provider_chain chain[PROVIDER_PARTS];
};

const char *provider_part_name(enum provider_part part)
{
    return parts[part];
}

const char *provider_vendor_name(enum provider_vendor v)
{
    return vendors[v];
}

const char *provider_fault_name(enum provider_fault f)
{
    return faults[f].name;
}

int provider_fault_err(enum provider_fault f)
{
    return faults[f].err;
}

enum provider_fault provider_fault_of_http(int status)
{
    switch (status) {
    case 401:
    case 403:
        return FAULT_AUTH;
    case 402:
        return FAULT_QUOTA;
    case 404:
        return FAULT_MODEL;
    case 408:
        return FAULT_TIMEOUT;
    case 409:
    case 425:
        return FAULT_SERVER;
    case 429:
        return FAULT_RATE;
    default:
        return status >= 500 ? FAULT_SERVER : FAULT_REQUEST;
    }
}

enum provider_fault provider_fault_of_err(int err)
{
    return err == PAT_ETIMEDOUT ? FAULT_TIMEOUT : FAULT_CONNECTION;
}

/* ---- lists ---- */

static bool serves(enum provider_vendor v, enum provider_part part)
{
    static const bool can[VENDORS][PROVIDER_PARTS] = {
        [VENDOR_DEEPGRAM] = { [PROVIDER_STT] = true },
        [VENDOR_OPENAI] = { [PROVIDER_LLM] = true, [PROVIDER_TTS] = true },
        [VENDOR_ELEVENLABS] = { [PROVIDER_TTS] = true },
    };

    return can[v][part];
}

static const char *default_model(const struct provider_account *a, enum provider_part part)
{
    return part == PROVIDER_STT ? a->stt_model : part == PROVIDER_LLM ? a->llm_model : a->tts_model;
}

struct entry {
    const struct provider_account *account;
    const char *model;
    size_t model_len;
};

static const struct provider_account *account_named(const char *name, size_t len,
                                                    const struct provider_account *a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strlen(a[i].name) == len && !memcmp(a[i].name, name, len))
            return &a[i];
    return NULL;
}

/* One entry of the list, from *at on. False: there is none. */
static bool next_word(const char **at, const char **word, size_t *len)
{
    const char *p = *at + strspn(*at, ", \t\n");

    *word = p;
    *len = strcspn(p, ", \t\n");
    *at = p + *len;
    return *len > 0;
}

static int read_entry(struct entry *e, enum provider_part part, const char *word, size_t len,
                      const struct provider_account *a, size_t n, struct pat_buf *err)
{
    const char *colon = memchr(word, ':', len);
    size_t name_len = colon ? (size_t)(colon - word) : len;
    const char *wrong = NULL;

    e->account = account_named(word, name_len, a, n);
    if (!e->account)
        wrong = "no such provider";
    else if (!serves(e->account->vendor, part))
        wrong = "cannot do that";
    else if (!e->account->is_set)
        wrong = "has neither key nor address of its own";
    if (wrong) {
        pat_buf_addf(err, "%.*s: %s", (int)len, word, wrong);
        return PAT_EINVAL;
    }
    e->model = colon ? colon + 1 : default_model(e->account, part);
    e->model_len = colon ? len - name_len - 1 : strcspn(e->model, ", ");
    if (!e->model_len || e->model_len >= sizeof((struct provider *)0)->model) {
        pat_buf_addf(err, "%.*s: %s", (int)len, word, "needs a model");
        return PAT_EINVAL;
    }
    return PAT_OK;
}

int providers_check(enum provider_part part, const char *list, const struct provider_account *a,
                    size_t n, struct pat_buf *err)
{
    const char *word;
    size_t len, count = 0;
    struct entry e;

    while (next_word(&list, &word, &len)) {
        if (read_entry(&e, part, word, len, a, n, err))
            return PAT_EINVAL;
        if (++count > PROVIDER_STEPS) {
            pat_buf_addf(err, "more than %d", PROVIDER_STEPS);
            return PAT_EINVAL;
        }
    }
    if (!count)
        pat_buf_adds(err, "names nobody");
    return count ? PAT_OK : PAT_EINVAL;
}

static void make_metrics(struct providers *t, struct provider *p)
{
    struct pat_buf b;

    pat_buf_init(&b, 512);
    pat_metric_label(&b, "part", parts[p->part]);
    pat_metric_label(&b, "provider", p->name);
    for (int f = 0; f < FAULTS; f++) {
        size_t mark = b.len;

        pat_metric_label(&b, "fault", faults[f].name);
        p->errors[f] =
            pat_counter(t->metrics, "pat_agent_provider_errors_total",
                        "Failures of speech and language providers", b.data ? b.data : NULL);
        b.len = mark;
        if (b.data)
            b.data[mark] = '\0';
    }
    pat_metric_label(&b, "model", p->model);
    p->up = pat_gauge(t->metrics, "pat_agent_provider_up",
                      "Is asked when its turn comes: 1, left out for a while: 0",
                      b.data ? b.data : NULL);
    pat_gauge_set(p->up, 1);
    pat_buf_fini(&b);
}

static void step_free(struct provider *p)
{
    if (!p)
        return;
    free(p->url);
    free(p->key);
    free(p);
}

static struct provider *step_new(enum provider_part part, const struct entry *e)
{
    struct provider *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->part = part;
    p->vendor = e->account->vendor;
    pat_strcpy(p->name, sizeof p->name, e->account->name);
    memcpy(p->model, e->model, e->model_len);
    p->url = strdup(e->account->url);
    p->key = strdup(e->account->key);
    pat_breaker_init(&p->breaker, FAILURES, OPEN_MS);
    if (!p->url || !p->key) {
        step_free(p);
        return NULL;
    }
    return p;
}

int providers_chain(struct providers *t, enum provider_part part, const char *list,
                    const struct provider_account *a, size_t n, struct pat_buf *err)
{
    struct provider_chain *c = &t->chain[part];
    const char *word;
    size_t len;
    int rc = providers_check(part, list, a, n, err);

    if (rc)
        return rc;
    while (next_word(&list, &word, &len)) {
        struct entry e;
        struct provider *p;

        if (read_entry(&e, part, word, len, a, n, err))
            return PAT_EINVAL;
        p = step_new(part, &e);
        if (!p)
            return PAT_ENOMEM;
        make_metrics(t, p);
        c->at[c->n++] = p;
    }
    return PAT_OK;
}

int providers_new(struct providers **out, struct pat_metrics *m, provider_change_fn *changed,
                  void *arg)
{
    struct providers *t = calloc(1, sizeof *t);

    if (!t)
        return PAT_ENOMEM;
    t->metrics = m;
    t->changed = changed;
    t->arg = arg;
    t->refused_ms = REFUSED_MS;
    *out = t;
    return PAT_OK;
}

void providers_refused_for(struct providers *t, int64_t ms)
{
    t->refused_ms = ms;
}

void providers_free(struct providers *t)
{
    if (!t)
        return;
    for (int part = 0; part < PROVIDER_PARTS; part++)
        for (size_t i = 0; i < t->chain[part].n; i++)
            step_free(t->chain[part].at[i]);
    free(t);
}

const struct provider_chain *providers_of(const struct providers *t, enum provider_part part)
{
    return &t->chain[part];
}

/* ---- who is next ---- */

bool provider_hopeless(const struct provider *p, int64_t now_ms)
{
    return !pat_breaker_would_allow(&p->breaker, now_ms) &&
           (p->why == FAULT_AUTH || p->why == FAULT_QUOTA || p->why == FAULT_MODEL);
}

int provider_pick(const struct provider_chain *c, unsigned tried, int64_t now_ms)
{
    for (size_t i = 0; i < c->n; i++)
        if (!(tried & 1U << i) && pat_breaker_allow(&c->at[i]->breaker, now_ms))
            return (int)i;
    for (size_t i = 0; i < c->n; i++)
        if (!(tried & 1U << i) && !provider_hopeless(c->at[i], now_ms))
            return (int)i;
    return -1;
}

unsigned provider_same_account(const struct provider_chain *c, int step)
{
    unsigned same = 0;

    for (size_t i = 0; i < c->n; i++)
        if (!strcmp(c->at[i]->name, c->at[step]->name))
            same |= 1U << i;
    return same;
}

/* ---- how it went ---- */

static void tell(struct providers *t, const struct provider *p, bool up)
{
    pat_gauge_set(p->up, up);
    if (up)
        pat_log(PAT_INFO, "provider.up", PAT_S("part", parts[p->part]), PAT_S("provider", p->name),
                PAT_S("model", p->model));
    else
        pat_log(p->why == FAULT_AUTH || p->why == FAULT_QUOTA || p->why == FAULT_MODEL ? PAT_ERROR
                                                                                       : PAT_WARN,
                "provider.down", PAT_S("part", parts[p->part]), PAT_S("provider", p->name),
                PAT_S("model", p->model), PAT_S("fault", faults[p->why].name));
    if (t && t->changed)
        t->changed(p, up, t->arg);
}

void provider_worked(struct providers *t, struct provider *p)
{
    enum pat_breaker_state before;

    if (!p)
        return;
    before = p->breaker.state;
    pat_breaker_success(&p->breaker);
    if (before != PAT_BREAKER_CLOSED && p->breaker.state == PAT_BREAKER_CLOSED)
        tell(t, p, true);
}

static int64_t open_for(const struct providers *t, enum provider_fault f, int64_t retry_after_ms)
{
    if (f != FAULT_RATE)
        return t->refused_ms;
    if (retry_after_ms <= 0)
        return RATE_MS;
    return retry_after_ms < RATE_MAX_MS ? retry_after_ms : RATE_MAX_MS;
}

static void fail_one(struct providers *t, struct provider *p, enum provider_fault f,
                     int64_t retry_after_ms, int64_t now_ms)
{
    /* Half-open still counts as down: a probe that fails is no news. */
    bool was_up = p->breaker.state == PAT_BREAKER_CLOSED;

    switch (f) {
    case FAULT_AUTH:
    case FAULT_QUOTA:
    case FAULT_MODEL:
    case FAULT_RATE:
        pat_breaker_trip(&p->breaker, open_for(t, f, retry_after_ms), now_ms);
        break;
    case FAULT_CONNECTION:
    case FAULT_TIMEOUT:
    case FAULT_SERVER:
        pat_breaker_failure(&p->breaker, now_ms);
        break;
    default: /* it answered, and said something about us */
        provider_worked(t, p);
        return;
    }
    if (p->breaker.state != PAT_BREAKER_CLOSED)
        p->why = f;
    if (was_up && p->breaker.state != PAT_BREAKER_CLOSED)
        tell(t, p, false);
}

void provider_failed(struct providers *t, struct provider *p, enum provider_fault f,
                     int64_t retry_after_ms, int64_t now_ms)
{
    char name[sizeof p->name];

    if (!p)
        return;
    pat_counter_add(p->errors[f], 1);
    if (!t || (f != FAULT_AUTH && f != FAULT_QUOTA)) {
        fail_one(t, p, f, retry_after_ms, now_ms);
        return;
    }
    pat_strcpy(name, sizeof name, p->name); /* the key is that of other steps too */
    for (int part = 0; part < PROVIDER_PARTS; part++)
        for (size_t i = 0; i < t->chain[part].n; i++)
            if (!strcmp(t->chain[part].at[i]->name, name))
                fail_one(t, t->chain[part].at[i], f, retry_after_ms, now_ms);
}
