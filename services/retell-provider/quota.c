/* quota.c - see quota.h. */
#include "quota.h"

#include "api.h"

#include <stdlib.h>

#define SOON_MS     2000 /* between two questions while little is left */
#define BUSY_MS     1000 /* after a 429 that does not say how long */
#define BUSY_MAX_MS 30000
#define OLD_MS      120000 /* an answer is good for; longer where it is asked for less often */
#define LITTLE_PART 5      /* a fifth */

struct quota {
    struct provider *p;
    struct pat_timer timer;
    api_id request;
    bool known;
    int64_t limit, current, taken; /* taken: since it was asked */
    int64_t asked_taken;           /* of those, by the time it was asked */
    int64_t answered_ms, busy_until_ms;
    struct pat_gauge *limit_gauge, *free_gauge;
    struct pat_counter *busy;
};

struct retell_quota retell_quota(const struct provider *p)
{
    const struct quota *q = p->quota;
    int64_t now = pat_now_ms(), old = 4 * p->conf->quota_ms;
    struct retell_quota out = { 0 };

    if (!q)
        return out;
    out.busy_ms = q->busy_until_ms > now ? q->busy_until_ms - now : 0;
    out.age_ms = now - q->answered_ms;
    out.known = q->known && out.age_ms < (old > OLD_MS ? old : OLD_MS);
    out.limit = q->limit;
    out.current = q->current;
    out.free = q->limit - q->current - q->taken;
    if (out.free < 0)
        out.free = 0;
    return out;
}

static bool little(const struct quota *q)
{
    struct retell_quota now = retell_quota(q->p);

    return now.busy_ms || (now.known && now.free * LITTLE_PART <= now.limit);
}

static void show(const struct quota *q)
{
    struct retell_quota now = retell_quota(q->p);

    pat_gauge_set(q->limit_gauge, now.known ? (double)now.limit : 0);
    pat_gauge_set(q->free_gauge, now.busy_ms ? 0 : now.known ? (double)now.free : -1);
}

static void ask_again(struct quota *q)
{
    int64_t every = q->p->conf->quota_ms;

    pat_timer_start(&q->timer, little(q) && every > SOON_MS ? SOON_MS : every);
}

static void on_answer(const struct api_answer *a, void *arg)
{
    struct quota *q = arg;
    int64_t limit = pat_json_int_or(a->body, "concurrency_limit", -1);
    int64_t burst = pat_json_bool_or(a->body, "concurrency_burst_enabled", false)
                        ? pat_json_int_or(a->body, "concurrency_burst_limit", 0)
                        : 0;

    q->request = 0;
    if (a->err || limit < 0) {
        pat_log(PAT_WARN, "quota.unknown", PAT_ERR(a->err ? a->err : PAT_EPROTO),
                PAT_S("why", a->message));
    } else {
        q->known = true;
        q->limit = burst > limit ? burst : limit;
        q->current = pat_json_int_or(a->body, "current_concurrency", 0);
        q->taken -= q->asked_taken;
        q->answered_ms = pat_now_ms();
    }
    q->asked_taken = 0;
    show(q);
    ask_again(q);
}

static void ask(void *arg)
{
    struct quota *q = arg;

    q->asked_taken = q->taken;
    if (api_call(q->p->api, "GET", "/get-concurrency", NULL, on_answer, q, &q->request)) {
        q->asked_taken = 0;
        ask_again(q);
    }
}

bool quota_take(struct quota *q)
{
    struct retell_quota now = retell_quota(q->p);

    if (now.busy_ms || (now.known && !now.free)) {
        pat_counter_add(q->busy, 1);
        show(q);
        return false;
    }
    q->taken++;
    show(q);
    return true;
}

void quota_refused(struct quota *q, int64_t retry_after_ms)
{
    int64_t pause = retry_after_ms > 0 ? retry_after_ms : BUSY_MS;

    q->busy_until_ms = pat_now_ms() + (pause < BUSY_MAX_MS ? pause : BUSY_MAX_MS);
    pat_counter_add(q->busy, 1);
    show(q);
    if (!q->request && pat_timer_running(&q->timer))
        ask_again(q);
}

int quota_new(struct quota **out, struct provider *p)
{
    struct pat_metrics *m = p->d->metrics;
    struct quota *q = calloc(1, sizeof *q);
    int err;

    if (!q)
        return PAT_ENOMEM;
    q->p = p;
    q->limit_gauge =
        pat_gauge(m, "pat_retell_calls_limit",
                  "Calls at once that Retell takes of the workspace; 0: not known", NULL);
    q->free_gauge = pat_gauge(m, "pat_retell_calls_free",
                              "Of these, how many more it would take now; -1: not known", NULL);
    q->busy = pat_counter(m, "pat_retell_busy_total",
                          "Calls not registered because Retell takes no more, or said 429", NULL);
    err = pat_timer_init(&q->timer, p->d->loop, ask, q);
    if (err) {
        free(q);
        return err;
    }
    pat_timer_start(&q->timer, 0);
    *out = q;
    return PAT_OK;
}

void quota_free(struct quota *q)
{
    if (!q)
        return;
    if (q->request)
        api_cancel(q->p->api, q->request);
    pat_timer_fini(&q->timer);
    free(q);
}
