/* heir.c - see heir.h.
 *
 * Our name is in the file before our lease is in Postgres; the names of the dead leave it once
 * Postgres has heard of them. A router killed in between leaves both to the next one.
 */
#include "heir.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DB_MS     5000
#define AGAIN_MS  1000
#define BOOT_FILE "/proc/sys/kernel/random/boot_id"
enum {
    NAME_MAX_LEN = 79,
    DEAD_MAX = 16, /* a router that dies again and again before Postgres answers */
    PATH_BYTES = 4096,
    FILE_MAX = 8192,
    PLACE_MAX = 96,
};

struct heir {
    struct router *r;
    char own[NAME_MAX_LEN + 1];
    char place[PLACE_MAX]; /* "<boot> <device>:<folder>" */
    char dead[DEAD_MAX][NAME_MAX_LEN + 1];
    int n_dead;
    char path[PATH_BYTES];
    pat_db_id query;
    struct pat_timer again;
};

/* ------------------------------------------------------------------ the file */

/* What there is of it; "": nothing. */
static void read_file(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;

    while (fd >= 0 && len < cap - 1) {
        ssize_t n = read(fd, out + len, cap - 1 - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    out[len] = '\0';
    if (fd >= 0)
        close(fd);
}

static void write_file(const struct heir *h)
{
    char text[FILE_MAX], tmp[PATH_BYTES + 4];
    size_t len = 0;
    int fd;
    bool ok;

    for (int i = 0; i <= h->n_dead; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s %s\n",
                                i < h->n_dead ? h->dead[i] : h->own, h->place);
    snprintf(tmp, sizeof tmp, "%s.tmp", h->path);
    fd = open(tmp, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0600);
    ok = fd >= 0 && write(fd, text, len) == (ssize_t)len;
    if (fd >= 0)
        close(fd);
    if (!ok || rename(tmp, h->path))
        pat_log(PAT_WARN, "router.lease_not_noted", PAT_S("path", h->path),
                PAT_S("why", strerror(errno)));
}

static bool is_name(const char *s)
{
    if (strncmp(s, "router-", 7) != 0)
        return false;
    while (*s)
        if (!isalnum((unsigned char)*s) && *s != '-')
            return false;
        else
            s++;
    return true;
}

/* "<router> <place>"; of another place: nothing is known of it. */
static void take_line(struct heir *h, char *line)
{
    char *place = strchr(line, ' ');

    if (!place)
        return;
    *place++ = '\0';
    if (strcmp(place, h->place) != 0 || !is_name(line))
        return;
    if (h->n_dead == DEAD_MAX) /* the oldest: its lease has ended */
        memmove(h->dead[0], h->dead[1], sizeof h->dead[0] * (DEAD_MAX - 1));
    else
        h->n_dead++;
    if (!pat_strcpy(h->dead[h->n_dead - 1], sizeof h->dead[0], line))
        h->n_dead--;
}

static void read_dead(struct heir *h)
{
    char text[FILE_MAX], *rest = text, *line;

    read_file(h->path, text, sizeof text);
    while ((line = strsep(&rest, "\n")) && rest) /* a last line without its end was torn */
        take_line(h, line);
}

/* ------------------------------------------------------------------ Postgres */

static void on_said(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct heir *h = arg;
    const char *ended = err ? "0" : pat_db_value(results[0], 0, 0);

    (void)n;
    h->query = 0;
    if (err) {
        pat_timer_start(&h->again, AGAIN_MS);
        return;
    }
    if (ended && strcmp(ended, "0") != 0)
        pat_log(PAT_INFO, "router.lease_inherited", PAT_S("router", h->own),
                PAT_S("from", h->dead[h->n_dead - 1]), PAT_S("leases", ended));
    h->n_dead = 0;
    write_file(h);
}

static void say(void *arg)
{
    struct heir *h = arg;
    char list[sizeof h->dead + DEAD_MAX + 2];
    const char *params[] = { list };
    size_t len = 0;

    for (int i = 0; i < h->n_dead; i++)
        len += (size_t)snprintf(list + len, sizeof list - len, "%c%s", i ? ',' : '{', h->dead[i]);
    snprintf(list + len, sizeof list - len, "}");
    if (pat_db_run1(h->r->d->db, "routers_dead", "select patchbay.routers_dead($1::text[])", params,
                    1, DB_MS, on_said, h, &h->query))
        pat_timer_start(&h->again, AGAIN_MS);
}

/* ------------------------------------------------------------------ life */

/* Where the lock proves something: this boot of this kernel, and this very folder, not a copy of
 * it.
 */
static bool read_place(struct heir *h)
{
    char boot[PAT_ID_LEN + 2], folder[PATH_BYTES];
    char *slash;
    struct stat st;

    read_file(BOOT_FILE, boot, sizeof boot);
    boot[strcspn(boot, "\n")] = '\0';
    if (!pat_id_valid(boot) || !pat_strcpy(folder, sizeof folder, h->path))
        return false;
    slash = strrchr(folder, '/');
    if (slash)
        slash[1] = '\0'; /* "/" stays itself */
    if (stat(slash ? folder : ".", &st))
        return false;
    snprintf(h->place, sizeof h->place, "%s %llx:%llx", boot, (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    return true;
}

int heir_new(struct heir **out, struct router *r, const char *id)
{
    const char *spool = r->conf->spool_file;
    struct heir *h;

    *out = NULL;
    if (!*spool)
        return PAT_OK;
    h = calloc(1, sizeof *h);
    if (!h)
        return PAT_ENOMEM;
    h->r = r;
    if (pat_timer_init(&h->again, r->d->loop, say, h)) {
        free(h);
        return PAT_ENOMEM;
    }
    if (!pat_strcpy(h->own, sizeof h->own, id) ||
        snprintf(h->path, sizeof h->path, "%s.leases", spool) >= (int)sizeof h->path ||
        !read_place(h)) {
        pat_log(PAT_INFO, "router.no_heir", PAT_S("router", id));
        heir_free(h);
        return PAT_OK;
    }
    read_dead(h);
    write_file(h);
    if (h->n_dead)
        say(h);
    *out = h;
    return PAT_OK;
}

void heir_free(struct heir *h)
{
    if (!h)
        return;
    pat_db_cancel(h->r->d->db, h->query);
    pat_timer_fini(&h->again);
    free(h);
}
