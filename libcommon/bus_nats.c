/* bus_nats.c - the connection: its options, making it anew, its subscriptions, and what cnats' own
 * threads call.
 *
 * Nothing here waits, but for the first connecting (a name has to be resolved). When it is used is
 * the business of bus_io.c.
 */
#include "bus_io.h"

#include "buf.h"
#include "log.h"
#include "slots.h"

#include <stdlib.h>
#include <string.h>

/* What cnats gives back to us with each message. */
struct listener {
    struct pat_wire *w;
    uint64_t sub;
};

static void wake_locked(struct pat_wire *w)
{
    if (!w->done)
        uv_async_send(&w->wake);
}

/* ---- from cnats' threads ---- */

static bool keep_locked(struct pat_wire *w, uint64_t sub, natsMsg *m, size_t len)
{
    struct wire_inbox *in = &w->in;

    if (in->n >= WIRE_INBOX_MAX || w->in_bytes + len > WIRE_INBOX_BYTES)
        return false;
    if (in->n == in->cap) {
        size_t cap = in->cap ? in->cap * 2 : 64;
        struct wire_in *v = realloc(in->v, cap * sizeof *v);

        if (!v)
            return false;
        in->v = v;
        in->cap = cap;
    }
    in->v[in->n++] = (struct wire_in){ sub, m };
    w->in_bytes += len;
    return true;
}

static void on_message(natsConnection *nc, natsSubscription *sub, natsMsg *m, void *arg)
{
    struct listener *l = arg;
    struct pat_wire *w = l->w;
    bool kept;

    (void)nc;
    (void)sub;
    pthread_mutex_lock(&w->lock);
    kept = keep_locked(w, l->sub, m, (size_t)natsMsg_GetDataLength(m));
    if (!kept)
        w->state.dropped++;
    if (w->in.n == 1 || !kept)
        wake_locked(w);
    pthread_mutex_unlock(&w->lock);
    if (!kept)
        natsMsg_Destroy(m);
}

static void on_listener_gone(void *arg)
{
    struct listener *l = arg;
    struct pat_wire *w = l->w;

    free(l);
    pthread_mutex_lock(&w->lock);
    w->listeners--;
    io_kick_locked(w);
    pthread_mutex_unlock(&w->lock);
}

void nats_set_up_locked(struct pat_wire *w, bool up)
{
    if (w->state.up == up)
        return;
    w->state.up = up;
    if (up) {
        w->state.connects++;
        w->why[0] = '\0';
    }
    io_kick_locked(w);
    wake_locked(w);
}

static void set_up(struct pat_wire *w, bool up)
{
    pthread_mutex_lock(&w->lock);
    nats_set_up_locked(w, up);
    pthread_mutex_unlock(&w->lock);
}

static void on_connected(natsConnection *nc, void *arg)
{
    (void)nc;
    set_up(arg, true);
}

static void on_disconnected(natsConnection *nc, void *arg)
{
    (void)nc;
    set_up(arg, false);
}

/* The last callback of a connection. */
static void on_closed(natsConnection *nc, void *arg)
{
    struct pat_wire *w = arg;

    (void)nc;
    pthread_mutex_lock(&w->lock);
    nats_set_up_locked(w, false);
    if (w->connections)
        w->connections--;
    io_kick_locked(w);
    pthread_mutex_unlock(&w->lock);
}

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus s, void *arg)
{
    (void)nc;
    (void)sub;
    (void)arg;
    pat_log(PAT_WARN, "bus.error", PAT_S("reason", natsStatus_GetText(s)));
}

/* ---- the socket: called with the connection's lock held, by whoever uses it ---- */

static natsStatus on_attach(void **user, void *wire, natsConnection *nc, natsSock fd)
{
    struct pat_wire *w = wire;

    (void)nc;
    *user = w;
    pthread_mutex_lock(&w->lock);
    w->fd = fd;
    w->want_write = false;
    io_kick_locked(w);
    pthread_mutex_unlock(&w->lock);
    return NATS_OK;
}

/* Removed once, before the socket is closed. */
static natsStatus on_read(void *user, bool add)
{
    struct pat_wire *w = user;

    if (add)
        return NATS_OK;
    pthread_mutex_lock(&w->lock);
    w->fd = -1;
    io_kick_locked(w);
    pthread_mutex_unlock(&w->lock);
    return NATS_OK;
}

static natsStatus on_write(void *user, bool add)
{
    struct pat_wire *w = user;

    pthread_mutex_lock(&w->lock);
    w->want_write = add;
    if (add)
        io_kick_locked(w);
    pthread_mutex_unlock(&w->lock);
    return NATS_OK;
}

static natsStatus on_detach(void *user)
{
    (void)user; /* the wire outlives its connections */
    return NATS_OK;
}

/* ---- connecting and subscribing ---- */

static natsStatus listen_on(struct pat_wire *w, struct native_sub *s)
{
    struct listener *l = malloc(sizeof *l);
    natsStatus st;

    if (!l)
        return NATS_NO_MEMORY;
    *l = (struct listener){ w, s->id };
    pthread_mutex_lock(&w->lock);
    w->listeners++;
    pthread_mutex_unlock(&w->lock);
    if (s->op->reply)
        st = natsConnection_QueueSubscribe(&s->nats, w->nc, s->op->subject, s->op->reply,
                                           on_message, l);
    else
        st = natsConnection_Subscribe(&s->nats, w->nc, s->op->subject, on_message, l);
    if (st != NATS_OK) {
        s->nats = NULL;
        on_listener_gone(l);
        return st;
    }
    if (natsSubscription_SetOnCompleteCB(s->nats, on_listener_gone, l) != NATS_OK) {
        /* Closed under our hands. l stays: a late message may still carry it. */
        pthread_mutex_lock(&w->lock);
        w->abandoned = true;
        w->listeners--;
        pthread_mutex_unlock(&w->lock);
    }
    return NATS_OK;
}

void nats_forget(struct pat_wire *w)
{
    for (size_t i = 0; i < w->subs_cap; i++) {
        natsSubscription_Destroy(w->subs[i].nats);
        w->subs[i].nats = NULL;
    }
    natsConnection_Destroy(w->nc);
    w->nc = NULL;
}

/* Told once per reason: it is tried again many times a minute. */
static void say_why(struct pat_wire *w, enum pat_level level, const char *reason)
{
    char why[WIRE_WHY_MAX];
    bool news;

    (void)pat_strcpy(why, sizeof why, reason);
    for (char *s = why; *s; s++)
        if (*s == '\n' || *s == '\r')
            *s = ' ';
    pthread_mutex_lock(&w->lock);
    news = strcmp(w->why, why) != 0;
    memcpy(w->why, why, sizeof why);
    pthread_mutex_unlock(&w->lock);
    if (news)
        pat_log(level, "bus.connect", PAT_S("reason", why));
}

/* cnats' words, without the place in its sources, for what just failed in this thread. */
static const char *reason_of(natsStatus s)
{
    const char *text = nats_GetLastError(NULL);
    const char *words = text && *text == '(' ? strstr(text, "): ") : NULL;

    if (words)
        text = words + 3;
    if (!text || !*text)
        return natsStatus_GetText(s);
    /* What a server does to whom it asked for a certificate in vain. */
    if (!strcmp(text, "Expected 'PONG', got ''"))
        return "the server hung up at once: does it ask for a certificate of ours?";
    return text;
}

/* Nobody is there, or who is there would not have us: that changes less soon. */
static void not_connected(struct pat_wire *w, natsStatus s)
{
    bool absent = s == NATS_NO_SERVER || s == NATS_TIMEOUT;

    w->nc = NULL;
    w->again_at_ms = pat_now_ms() + (absent ? WIRE_RECONNECT_MS : WIRE_REFUSED_MS);
    pthread_mutex_lock(&w->lock);
    w->connections--;
    pthread_mutex_unlock(&w->lock);
    say_why(w, absent ? PAT_WARN : PAT_ERROR, reason_of(s));
}

/* Only a connection that was made once is left to cnats to be made again: of its own first tries it
 * would not say why they failed. */
static void connect_anew(struct pat_wire *w)
{
    natsStatus s;

    if (pat_now_ms() < w->again_at_ms)
        return;
    pthread_mutex_lock(&w->lock);
    w->connections++;
    pthread_mutex_unlock(&w->lock);
    s = natsConnection_Connect(&w->nc, w->opts);
    if (s != NATS_OK) {
        not_connected(w, s);
        return;
    }
    for (size_t i = 0; i < w->subs_cap; i++)
        if (w->subs[i].id && listen_on(w, &w->subs[i]) != NATS_OK)
            pat_log(PAT_ERROR, "bus.subscribe", PAT_S("subject", w->subs[i].op->subject));
}

/* What stopped the last try of cnats' own. A certificate it does not take is nobody's passing
 * trouble. */
static void look_why(struct pat_wire *w)
{
    const char *text = NULL;
    natsStatus s = natsConnection_GetLastError(w->nc, &text);

    if (s != NATS_OK && text && *text)
        say_why(w, s == NATS_SSL_ERROR ? PAT_ERROR : PAT_WARN, text);
}

/* cnats reconnects by itself, except when the server refuses our credentials twice: then it closes
 * the connection for good, and we start over. */
void nats_look(struct pat_wire *w)
{
    natsConnStatus s;

    if (!w->nc)
        connect_anew(w);
    if (!w->nc)
        return;
    s = natsConnection_Status(w->nc);
    if (s == NATS_CONN_STATUS_CONNECTED)
        set_up(w, true);
    else
        look_why(w);
    if (s == NATS_CONN_STATUS_CLOSED) {
        /* What the server said is not to be had: cnats has overwritten it. */
        say_why(w, PAT_ERROR, "refused: are user, password, token or credentials right?");
        w->again_at_ms = pat_now_ms() + WIRE_REFUSED_MS;
        nats_forget(w);
    }
}

natsStatus nats_subscribe(struct pat_wire *w, struct wire_op *op)
{
    size_t place = PAT_SLOT_PLACE(op->sub);
    natsStatus s;

    if (place >= w->subs_cap) {
        size_t cap = place * 2 + 8;
        struct native_sub *v = realloc(w->subs, cap * sizeof *v);

        if (!v)
            return NATS_NO_MEMORY;
        memset(v + w->subs_cap, 0, (cap - w->subs_cap) * sizeof *v);
        w->subs = v;
        w->subs_cap = cap;
    }
    w->subs[place] = (struct native_sub){ .id = op->sub, .op = op };
    s = listen_on(w, &w->subs[place]);
    if (s != NATS_OK)
        w->subs[place] = (struct native_sub){ 0 };
    return s;
}

void nats_unsubscribe(struct pat_wire *w, uint64_t id)
{
    size_t place = PAT_SLOT_PLACE(id);
    struct native_sub *s = place < w->subs_cap ? &w->subs[place] : NULL;

    if (!s || s->id != id)
        return;
    natsSubscription_Unsubscribe(s->nats);
    natsSubscription_Destroy(s->nats);
    free(s->op);
    *s = (struct native_sub){ 0 };
}

/* ---- options ---- */

static bool given(const char *s)
{
    return s && *s;
}

static natsStatus set_credentials(natsOptions *o, const struct pat_bus_opts *opts)
{
    natsStatus s = NATS_OK;

    if (given(opts->creds))
        s = natsOptions_SetUserCredentialsFromFiles(o, opts->creds, NULL);
    if (s == NATS_OK && given(opts->nkey))
        s = natsOptions_SetNKeyFromSeed(o, opts->nkey, opts->nkey_seed_file);
    if (s == NATS_OK && given(opts->user))
        s = natsOptions_SetUserInfo(o, opts->user, opts->password ? opts->password : "");
    if (s == NATS_OK && given(opts->token))
        s = natsOptions_SetToken(o, opts->token);
    return s;
}

/* Whoever names a CA or a certificate for NATS wants TLS, also when somebody in between says that
 * the server does not. */
static natsStatus set_tls(struct pat_wire *w, natsOptions *o, const struct pat_bus_opts *opts)
{
    const char *ca = given(opts->ca_file) ? opts->ca_file : opts->ca_fallback;
    natsStatus s = NATS_OK;

    w->tls = given(opts->ca_file) || given(opts->cert_file) || strstr(opts->url, "tls://");
    if (w->tls)
        s = natsOptions_SetSecure(o, true);
    if (s == NATS_OK && given(ca))
        s = natsOptions_LoadCATrustedCertificates(o, ca);
    if (s == NATS_OK && given(opts->cert_file))
        s = natsOptions_LoadCertificatesChain(o, opts->cert_file, opts->key_file);
    return s;
}

static natsStatus set_servers(natsOptions *o, const char *urls)
{
    enum { SERVERS_MAX = 16 };
    const char *list[SERVERS_MAX];
    char *copy = strdup(urls);
    char *at = copy;
    natsStatus s = NATS_NO_MEMORY;
    int n = 0;

    if (!copy)
        return s;
    while (n < SERVERS_MAX && at) {
        char *one = strsep(&at, ",");

        one += strspn(one, " ");
        if (*one)
            list[n++] = one;
    }
    s = n ? natsOptions_SetServers(o, list, n) : NATS_INVALID_ARG;
    free(copy);
    return s;
}

static natsStatus set_manners(struct pat_wire *w, natsOptions *o)
{
    natsStatus s = natsOptions_SetMaxReconnect(o, -1);

    if (s == NATS_OK)
        s = natsOptions_SetReconnectWait(o, WIRE_RECONNECT_MS);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectJitter(o, WIRE_RECONNECT_MS / 2, WIRE_RECONNECT_MS);
    if (s == NATS_OK)
        s = natsOptions_SetTimeout(o, WIRE_CONNECT_MS);
    if (s == NATS_OK)
        s = natsOptions_SetWriteDeadline(o, WIRE_WRITE_MS);
    if (s == NATS_OK)
        s = natsOptions_SetSendAsap(o, true);
    if (s == NATS_OK)
        s = natsOptions_SetIOBufSize(o, WIRE_READ_BYTES);
    if (s == NATS_OK) /* they come from another thread, which would close the socket under us */
        s = natsOptions_SetPingInterval(o, 0);
    if (s == NATS_OK)
        s = natsOptions_SetEventLoop(o, w, on_attach, on_read, on_write, on_detach);
    if (s == NATS_OK)
        s = natsOptions_UseGlobalMessageDelivery(o, true);
    if (s == NATS_OK)
        s = natsOptions_SetReconnectedCB(o, on_connected, w);
    if (s == NATS_OK)
        s = natsOptions_SetDisconnectedCB(o, on_disconnected, w);
    if (s == NATS_OK)
        s = natsOptions_SetClosedCB(o, on_closed, w);
    if (s == NATS_OK)
        s = natsOptions_SetErrorHandler(o, on_error, w);
    return s;
}

int nats_options(struct pat_wire *w, const struct pat_bus_opts *opts)
{
    natsStatus s = nats_Open(-1);

    if (s == NATS_OK)
        s = nats_SetMessageDeliveryPoolSize(1);
    if (s == NATS_OK)
        s = natsOptions_Create(&w->opts);
    if (s == NATS_OK)
        s = set_servers(w->opts, opts->url);
    if (s == NATS_OK && opts->name)
        s = natsOptions_SetName(w->opts, opts->name);
    if (s == NATS_OK)
        s = set_credentials(w->opts, opts);
    if (s == NATS_OK)
        s = set_tls(w, w->opts, opts);
    if (s == NATS_OK)
        s = set_manners(w, w->opts);
    if (s == NATS_OK)
        return PAT_OK;
    pat_log(PAT_ERROR, "bus.options", PAT_S("reason", nats_GetLastError(NULL)));
    natsOptions_Destroy(w->opts);
    return s == NATS_NO_MEMORY ? PAT_ENOMEM : PAT_EINVAL;
}
