/* daemon_door.c - the port a daemon serves, and how it is closed without dropping anything.
 *
 * First the last requests are answered, then what they told is stored.
 */
#include "daemon.h"

#include "journal.h"

int pat_daemon_open(struct pat_daemon *d, struct pat_httpd **out, const char *name,
                    const struct pat_httpd_opts *opts, pat_daemon_routes_fn *routes, void *arg)
{
    int err = pat_httpd_new(out, d->net, opts);

    if (!err)
        err = routes(*out, arg);
    if (!err)
        err = pat_httpd_listen(*out);
    if (!err)
        pat_daemon_set_port(d, name, pat_httpd_port(*out));
    return err;
}

static void on_stored(void *arg)
{
    struct pat_daemon *d = arg;

    if (d->leaving)
        *d->leaving = NULL;
    pat_daemon_drained(d);
}

static void on_answered(void *arg)
{
    struct pat_daemon *d = arg;

    if (d->leaving)
        pat_journal_close(*d->leaving, d->drain_ms / 2, on_stored, d);
    else
        on_stored(d);
}

void pat_daemon_leave(struct pat_daemon *d, struct pat_httpd *s, struct pat_journal **journal)
{
    d->leaving = journal;
    pat_httpd_drain(s, d->drain_ms / 2, on_answered, d);
}
