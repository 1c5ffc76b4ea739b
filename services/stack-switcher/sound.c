/* sound.c - see sound.h. A read of an address at the vendor's is one here, until it is answered;
 * who waits for another address stands by the renewal of his call. Objects of ours are just passed
 * on.
 */
#include "sound.h"

#include "remote.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum { READ_MS = 15000, RENEW_MS = 9000, LOOK_MS = 300 /* another replica is at it */ };

struct renewal {
    struct sounds *w;
    char call[PAT_ID_LEN + 1];
    struct pat_json *params;
    int64_t until_ms;
    pat_bus_id id;
    struct pat_timer look;
    struct renewal *prev, *next;
};

struct reading {
    struct sounds *w;
    struct sound *sound;
    uint64_t from;
    size_t len;
    pat_store_fn *fn;
    void *arg;
    struct renewal *waits_for; /* NULL: the vendor is asked */
    bool renewed;
    struct reading *prev, *next;
};

struct sounds {
    struct switcher *s;
    struct pat_store *store; /* NULL: none is set */
    struct remote *remote;
    struct reading *readings;
    struct renewal *renewals;
};

/* ------------------------------------------------------------------ which */

int sound_init(struct sound *s, const struct pat_json *row)
{
    const char *object = pat_json_str_or(row, "object", NULL);
    const char *at = object ? object : pat_json_str_or(row, "url", NULL);

    if (!at)
        return PAT_ENOENT;
    *s = (struct sound){ .at = strdup(at), .remote = !object };
    (void)pat_strcpy(s->call, sizeof s->call, pat_json_str_or(row, "call_id", ""));
    (void)pat_strcpy(s->user, sizeof s->user, pat_json_str_or(row, "user_id", ""));
    return s->at ? PAT_OK : PAT_ENOMEM;
}

void sound_fini(struct sound *s)
{
    free(s->at);
    s->at = NULL;
}

const char *sound_problem(const struct sound *s, int err)
{
    if (s->problem)
        return s->problem;
    return err == PAT_ENOENT ? "the recording is not there any more"
                             : "it could not be read, try again";
}

/* ------------------------------------------------------------------ reading */

static void finish(struct reading *rd, int err, const struct pat_store_res *res)
{
    static const struct pat_store_res none = { 0 };
    pat_store_fn *fn = rd->fn;
    void *arg = rd->arg;

    if (err && rd->renewed)
        rd->sound->problem =
            err == PAT_ENOENT
                ? "the recording is not there any more: its address has expired, and another one "
                  "is not to be had"
                : "the recording's address has expired, and another one could not be had now, try "
                  "again";
    DL_DELETE(rd->w->readings, rd);
    free(rd);
    fn(err, res ? res : &none, arg);
}

static int renew(struct reading *rd);

static void on_range(int err, const struct pat_store_res *res, void *arg)
{
    struct reading *rd = arg;

    if (err == PAT_ENOENT && !rd->renewed) {
        err = renew(rd);
        if (!err)
            return;
    }
    finish(rd, err, res);
}

static int ask_remote(struct reading *rd)
{
    return remote_get_range(rd->w->remote, rd->sound->at, rd->from, rd->len, READ_MS, on_range, rd);
}

int sound_get_range(struct sounds *w, struct sound *s, uint64_t from, size_t len, pat_store_fn *fn,
                    void *arg)
{
    struct reading *rd;
    int err;

    if (!s->remote)
        return pat_store_get_range(w->store, s->at, from, len, READ_MS, fn, arg);
    rd = malloc(sizeof *rd);
    if (!rd)
        return PAT_ENOMEM;
    *rd = (struct reading){ .w = w, .sound = s, .from = from, .len = len, .fn = fn, .arg = arg };
    err = ask_remote(rd);
    if (err)
        free(rd);
    else
        DL_APPEND(w->readings, rd);
    return err;
}

void sound_forget(struct sounds *w, const void *arg)
{
    struct reading *rd, *next;

    if (!w)
        return;
    pat_store_forget(w->store, arg);
    DL_FOREACH_SAFE(w->readings, rd, next)
    {
        if (rd->arg != arg)
            continue;
        remote_forget(w->remote, rd);
        DL_DELETE(w->readings, rd);
        free(rd);
    }
}

/* ------------------------------------------------------------------ another address */

static void renewal_free(struct renewal *rn)
{
    DL_DELETE(rn->w->renewals, rn);
    if (rn->id)
        pat_bus_cancel(rn->w->s->d->bus, rn->id);
    pat_timer_fini(&rn->look);
    pat_json_free(rn->params);
    free(rn);
}

static struct reading *who_waits(const struct renewal *rn)
{
    struct reading *rd = rn->w->readings;

    while (rd && rd->waits_for != rn)
        rd = rd->next;
    return rd;
}

static int go_on(struct reading *rd, const char *url)
{
    char *at = strdup(url);

    if (!at)
        return PAT_ENOMEM;
    free(rd->sound->at);
    rd->sound->at = at;
    return ask_remote(rd);
}

static void settle(struct renewal *rn, int err, const char *url)
{
    struct reading *rd;

    /* Whoever is called may let go of others who wait. */
    while ((rd = who_waits(rn))) {
        int failed = err;

        rd->waits_for = NULL;
        if (!failed)
            failed = go_on(rd, url);
        if (failed)
            finish(rd, failed == PAT_ENOENT ? failed : PAT_EUNAVAIL, NULL);
    }
    renewal_free(rn);
}

static int ask_provider(struct renewal *rn);

static void on_renewed(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct renewal *rn = arg;
    const char *url = err ? NULL : pat_json_str_or(result, "url", NULL);

    rn->id = 0;
    if (err == PAT_EAGAIN && pat_now_ms() + LOOK_MS < rn->until_ms) {
        pat_timer_start(&rn->look, LOOK_MS);
        return;
    }
    if (!err && !url)
        err = PAT_EPROTO;
    if (err)
        pat_log(PAT_WARN, "recording.not_renewed", PAT_S("call", rn->call), PAT_ERR(err),
                PAT_S("why", message));
    settle(rn, err, url);
}

static void on_look(void *arg)
{
    struct renewal *rn = arg;
    int err = ask_provider(rn);

    if (err)
        settle(rn, err, NULL);
}

static int ask_provider(struct renewal *rn)
{
    struct pat_bus *bus = rn->w->s->d->bus;

    if (!pat_bus_up(bus))
        return PAT_EUNAVAIL;
    return pat_rpc_call(bus, "retell", "renew_urls", rn->params, rn->until_ms - pat_now_ms(),
                        on_renewed, rn, &rn->id);
}

static int renewal_new(struct renewal **out, struct sounds *w, const struct sound *s)
{
    struct renewal *rn = calloc(1, sizeof *rn);
    int err = rn ? pat_timer_init(&rn->look, w->s->d->loop, on_look, rn) : PAT_ENOMEM;

    if (err) {
        free(rn);
        return err;
    }
    rn->w = w;
    rn->until_ms = pat_now_ms() + RENEW_MS;
    (void)pat_strcpy(rn->call, sizeof rn->call, s->call);
    rn->params = pat_json_obj();
    pat_json_set_str(rn->params, "call_id", s->call);
    pat_json_set_str(rn->params, "user_id", s->user);
    pat_json_set_str(rn->params, "refused", s->at);
    DL_APPEND(w->renewals, rn);
    err = ask_provider(rn);
    if (err)
        renewal_free(rn);
    else
        *out = rn;
    return err;
}

/* On error nobody waits, and it cannot be had now. */
static int renew(struct reading *rd)
{
    struct renewal *rn = rd->w->renewals;
    int err = PAT_OK;

    rd->renewed = true;
    while (rn && strcmp(rn->call, rd->sound->call) != 0)
        rn = rn->next;
    if (!rn)
        err = renewal_new(&rn, rd->w, rd->sound);
    if (!err)
        rd->waits_for = rn;
    return err ? PAT_EUNAVAIL : PAT_OK;
}

/* ------------------------------------------------------------------ life */

bool sounds_stored(const struct sounds *w)
{
    return w->store != NULL;
}

int sounds_new(struct sounds **out, struct switcher *s)
{
    struct sounds *w = calloc(1, sizeof *w);
    int err;

    if (!w)
        return PAT_ENOMEM;
    w->s = s;
    err = pat_store_open(&w->store, s->d->http, &s->conf->recording);
    if (!err)
        err = remote_new(&w->remote, s->d, s->conf->recording_from);
    if (err) {
        sounds_free(w);
        return err;
    }
    *out = w;
    return PAT_OK;
}

void sounds_free(struct sounds *w)
{
    if (!w)
        return;
    while (w->renewals)
        renewal_free(w->renewals);
    while (w->readings)
        sound_forget(w, w->readings->arg);
    pat_store_free(w->store);
    remote_free(w->remote);
    free(w);
}
