/* patchbay-doubles - every vendor Patchbay talks to, played on loopback, a port each.
 *
 * Table of contents: desks up, ports told, run, down in reverse. Vendors are the lines of the
 * table below. It never reaches the internet and keeps nothing on disk but the port file. */
#include "doubles.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct dbl_vendor dbl_vendor_deepgram;
extern const struct dbl_vendor dbl_vendor_elevenlabs;
extern const struct dbl_vendor dbl_vendor_openai;
extern const struct dbl_vendor dbl_vendor_retell;
extern const struct dbl_vendor dbl_vendor_signalwire;
extern const struct dbl_vendor dbl_vendor_storage;

static const struct dbl_vendor *const vendors[] = {
    &dbl_vendor_deepgram, &dbl_vendor_elevenlabs, &dbl_vendor_openai,
    &dbl_vendor_retell,   &dbl_vendor_signalwire, &dbl_vendor_storage,
};
/* Another region, or another key, of the same vendor: a desk of its own, with faults of its own. */
static const struct {
    const char *name;
    const struct dbl_vendor *like;
} seconds[] = {
    { "deepgram2", &dbl_vendor_deepgram },
    { "elevenlabs2", &dbl_vendor_elevenlabs },
    { "openai2", &dbl_vendor_openai },
};
enum {
    N_VENDORS = sizeof vendors / sizeof vendors[0],
    N_SECONDS = sizeof seconds / sizeof seconds[0],
};

/* A clone is uploaded as audio files. */
#define MAX_BODY ((size_t)16 << 20)

struct doubles {
    struct pat_loop *loop;
    struct pat_net *net;
    struct pat_http *http;
    struct pat_httpd *control;
    struct pat_signal *term, *intr;
    struct dbl desks[N_VENDORS + N_SECONDS];
    struct dbl_vendor second[N_SECONDS];
    size_t n; /* started */
};

size_t dbl_count(const struct doubles *all)
{
    return all->n;
}

struct dbl *dbl_at(struct doubles *all, size_t i)
{
    return &all->desks[i];
}

struct dbl *dbl_find(struct doubles *all, const char *vendor)
{
    for (size_t i = 0; i < all->n; i++)
        if (!strcmp(all->desks[i].vendor->name, vendor))
            return &all->desks[i];
    return NULL;
}

int dbl_port(const struct dbl *d, const char *vendor)
{
    const struct dbl *other = dbl_find(d->all, vendor);

    return other ? other->port : 0;
}

int dbl_control_port(const struct doubles *all)
{
    return pat_httpd_port(all->control);
}

static const char *env_or(const char *name, const char *fallback)
{
    const char *v = getenv(name);

    return v && *v ? v : fallback;
}

/* PAT_DOUBLES_<NAME>_PORT at PAT_DOUBLES_HOST, any free port when unset. */
static int server_new(struct doubles *all, const char *name, struct pat_httpd **out)
{
    char var[64] = "PAT_DOUBLES_", listen[160];
    struct pat_httpd_opts opts = { .listen = listen, .max_body = MAX_BODY };
    size_t at = strlen(var);

    for (; *name && at < sizeof var - 6; name++)
        var[at++] = (char)(*name >= 'a' && *name <= 'z' ? *name - 32 : *name);
    memcpy(var + at, "_PORT", 6);
    snprintf(listen, sizeof listen, "%s:%s", env_or("PAT_DOUBLES_HOST", "127.0.0.1"),
             env_or(var, "0"));
    return pat_httpd_new(out, all->net, &opts);
}

static int desk_open(struct doubles *all, const struct dbl_vendor *vendor)
{
    struct dbl *d = &all->desks[all->n];
    int err;

    *d = (struct dbl){
        .vendor = vendor, .all = all, .loop = all->loop, .net = all->net, .http = all->http
    };
    err = server_new(all, vendor->name, &d->server);
    if (err)
        return err;
    err = vendor->start(d);
    if (err)
        return err;
    all->n++;
    dbl_defaults(d);
    err = pat_httpd_listen(d->server);
    d->port = pat_httpd_port(d->server);
    return err;
}

static void ports_print(struct doubles *all, FILE *f)
{
    fprintf(f, "{\"control\":%d", dbl_control_port(all));
    for (size_t i = 0; i < all->n; i++)
        fprintf(f, ",\"%s\":%d", all->desks[i].vendor->name, all->desks[i].port);
    fprintf(f, "}\n");
    fflush(f);
}

/* Written whole under another name first: who waits for the file never reads half of it. */
static int ports_tell(struct doubles *all)
{
    const char *path = getenv("PAT_PORT_FILE");
    char part[4096];
    FILE *f;

    ports_print(all, stdout);
    if (!path || !*path)
        return PAT_OK;
    snprintf(part, sizeof part, "%s.part", path);
    f = fopen(part, "we");
    if (!f)
        return PAT_EIO;
    ports_print(all, f);
    if (fclose(f) || rename(part, path))
        return PAT_EIO;
    return PAT_OK;
}

static int doubles_start(struct doubles *all)
{
    int err = pat_net_new(&all->net, all->loop, NULL);

    if (!err)
        err = pat_http_new(&all->http, all->loop, &(struct pat_http_opts){ 0 });
    for (size_t i = 0; !err && i < N_VENDORS; i++)
        err = desk_open(all, vendors[i]);
    for (size_t i = 0; !err && i < N_SECONDS; i++) {
        all->second[i] = *seconds[i].like;
        all->second[i].name = seconds[i].name;
        err = desk_open(all, &all->second[i]);
    }
    if (!err)
        err = server_new(all, "control", &all->control);
    if (!err)
        err = dbl_control_routes(all, all->control);
    if (!err)
        err = pat_httpd_listen(all->control);
    if (!err)
        err = ports_tell(all);
    return err;
}

static void on_signal(int signum, void *arg)
{
    struct doubles *all = arg;

    (void)signum;
    pat_loop_stop(all->loop);
}

static void on_net_closed(void *arg)
{
    *(bool *)arg = true;
}

/* The library needs some turns to let go of its sockets. */
static void doubles_stop(struct doubles *all)
{
    bool closed = !all->net;
    int64_t give_up = pat_now_ms() + 5000;

    pat_signal_close(all->term);
    pat_signal_close(all->intr);
    while (all->n > 0) {
        struct dbl *d = &all->desks[--all->n];

        d->vendor->stop(d);
        dbl_forget(d);
    }
    pat_http_free(all->http);
    if (all->net)
        pat_net_close(all->net, on_net_closed, &closed);
    while (!closed && pat_now_ms() < give_up)
        pat_loop_run_once(all->loop, 100);
    while (pat_loop_free(all->loop) == PAT_EAGAIN && pat_now_ms() < give_up)
        pat_loop_run_once(all->loop, 10);
}

int main(int argc, char **argv)
{
    static struct doubles all;
    int err;

    if (argc > 1) {
        printf(
            "usage: %s\n\nPlays the vendors on loopback. PAT_DOUBLES_<VENDOR>_PORT (also CONTROL) "
            "fixes a port,\nPAT_PORT_FILE gets all of them as JSON; see doubles.h.\n",
            argv[0]);
        return strcmp(argv[1], "--help") ? 2 : 0;
    }
    signal(SIGPIPE, SIG_IGN);
    err = pat_loop_new(&all.loop);
    if (err) {
        fprintf(stderr, "patchbay-doubles: %s\n", pat_err_text(err));
        return 1;
    }
    err = pat_signal_new(&all.term, all.loop, SIGTERM, on_signal, &all);
    if (!err)
        err = pat_signal_new(&all.intr, all.loop, SIGINT, on_signal, &all);
    if (!err)
        err = doubles_start(&all);
    if (err)
        pat_log(PAT_ERROR, "doubles.start", PAT_ERR(err));
    else
        pat_loop_run(all.loop);
    doubles_stop(&all);
    return err ? 1 : 0;
}
