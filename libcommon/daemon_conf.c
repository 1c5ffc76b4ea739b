/* daemon_conf.c - one table out of two: what every daemon knows and what this one adds.
 *
 * Both structs stand in one block, so that loading, help and logging see a single table.
 */
#include "daemon_conf.h"

#include <stdlib.h>
#include <string.h>

#define F(field) offsetof(struct daemon_common, field)

static const struct pat_conf_row common_rows[] = {
    { .name = "PAT_ADMIN_LISTEN",
      .kind = PAT_CONF_ADDR,
      .offset = F(admin_listen),
      .def = "127.0.0.1:0",
      .help = "Where /healthz, /readyz, /metrics and /version are served; port 0: any free one." },
    { .name = "PAT_CA_FILE",
      .kind = PAT_CONF_STR,
      .offset = F(ca_file),
      .help = "Certificates to trust instead of the system's, PEM." },
    { .name = "PAT_DRAIN_MS",
      .kind = PAT_CONF_MS,
      .offset = F(drain_ms),
      .def = "10s",
      .help = "After SIGTERM, how long running work may take to finish.",
      .max = 24LL * 3600 * 1000 },
    { .name = "PAT_LOG_FORMAT",
      .kind = PAT_CONF_ENUM,
      .offset = F(log_format),
      .def = "json",
      .help = "One JSON object a line, or text for people.",
      .arg = "json,text" },
    { .name = "PAT_LOG_LEVEL",
      .kind = PAT_CONF_ENUM,
      .offset = F(log_level),
      .def = "info",
      .help = "The least important lines that are written.",
      .arg = "debug,info,warn,error" },
    { .name = "PAT_PORT_FILE",
      .kind = PAT_CONF_STR,
      .offset = F(port_file),
      .help = "Written when ready: the ports in use as JSON, {\"admin\":9101,...}." },
};

static const struct pat_conf_row bus_rows[] = {
    { .name = "PAT_NATS_CA_FILE",
      .kind = PAT_CONF_STR,
      .offset = F(nats_ca_file),
      .help = "Who may sign NATS' certificate, PEM; TLS is a must then. Empty: PAT_CA_FILE." },
    { .name = "PAT_NATS_CERT_FILE",
      .kind = PAT_CONF_STR,
      .offset = F(nats_cert_file),
      .help = "Our certificate with its chain, PEM, where NATS asks for one." },
    { .name = "PAT_NATS_CREDS",
      .kind = PAT_CONF_STR,
      .offset = F(nats_creds),
      .help = "Credentials file for NATS (JWT and seed)." },
    { .name = "PAT_NATS_KEY_FILE",
      .kind = PAT_CONF_STR,
      .offset = F(nats_key_file),
      .help = "The private key of PAT_NATS_CERT_FILE, PEM." },
    { .name = "PAT_NATS_NKEY",
      .kind = PAT_CONF_STR,
      .offset = F(nats_nkey),
      .help = "Public user key (U...) for NATS, with PAT_NATS_NKEY_SEED_FILE." },
    { .name = "PAT_NATS_NKEY_SEED_FILE",
      .kind = PAT_CONF_STR,
      .offset = F(nats_nkey_seed_file),
      .help = "File with the seed (SU...) of PAT_NATS_NKEY." },
    { .name = "PAT_NATS_PASSWORD",
      .kind = PAT_CONF_SECRET,
      .offset = F(nats_password),
      .help = "Password for NATS." },
    { .name = "PAT_NATS_TOKEN",
      .kind = PAT_CONF_SECRET,
      .offset = F(nats_token),
      .help = "Token for NATS, where it asks for one instead." },
    { .name = "PAT_NATS_URL",
      .kind = PAT_CONF_LIST,
      .offset = F(nats_url),
      .def = "nats://127.0.0.1:4222",
      .help = "NATS servers, without user and password; tls://host:port insists on TLS." },
    { .name = "PAT_NATS_USER",
      .kind = PAT_CONF_STR,
      .offset = F(nats_user),
      .help = "User for NATS." },
};

static const struct pat_conf_row db_rows[] = {
    { .name = "PAT_DATABASE_CA_FILE",
      .kind = PAT_CONF_STR,
      .offset = F(database_ca_file),
      .help = "Who may sign Postgres' certificate, PEM (Supabase: its root certificate); with "
              "sslmode=verify-full. Empty: PAT_CA_FILE." },
    { .name = "PAT_DATABASE_LISTEN_URL",
      .kind = PAT_CONF_URL,
      .offset = F(database_listen_url),
      .help = "For LISTEN when PAT_DATABASE_URL is a transaction pooler: direct or session mode "
              "(Supabase: the pooler's port 5432).",
      .arg = "postgres,postgresql" },
    { .name = "PAT_DATABASE_POOL",
      .kind = PAT_CONF_INT,
      .offset = F(database_pool),
      .def = "2",
      .help = "Connections to Postgres.",
      .min = 1,
      .max = 64 },
    { .name = "PAT_DATABASE_PREPARED",
      .kind = PAT_CONF_BOOL,
      .offset = F(database_prepared),
      .def = "true",
      .help = "Prepare statements; false for a transaction pooler (Supabase's port 6543)." },
    { .name = "PAT_DATABASE_URL",
      .kind = PAT_CONF_URL,
      .offset = F(database_url),
      .help = "Postgres: postgres://user:password@host:port/database?sslmode=verify-full; at "
              "Supabase's pooler the user is role.project.",
      .arg = "postgres,postgresql",
      .flags = PAT_CONF_REQUIRED },
};
#undef F

/* Where the daemon's own struct starts behind the common one. */
static size_t own_offset(void)
{
    size_t align = _Alignof(max_align_t);

    return (sizeof(struct daemon_common) + align - 1) / align * align;
}

static void add(struct daemon_conf *c, const struct pat_conf_row *rows, size_t n, size_t shift)
{
    for (size_t i = 0; i < n; i++) {
        c->rows[c->n] = rows[i];
        c->rows[c->n++].offset += shift;
    }
}

static int by_name(const void *a, const void *b)
{
    const struct pat_conf_row *x = a, *y = b;

    return strcmp(x->name, y->name);
}

#define COUNT(rows) (sizeof(rows) / sizeof(rows)[0])

int daemon_conf_new(struct daemon_conf *c, const struct pat_daemon_spec *spec)
{
    size_t most = COUNT(common_rows) + COUNT(bus_rows) + COUNT(db_rows) + spec->n_rows;

    *c = (struct daemon_conf){ .rows = calloc(most, sizeof *c->rows) };
    c->block = calloc(1, own_offset() + spec->conf_size);
    if (!c->rows || !c->block) {
        daemon_conf_fini(c);
        return PAT_ENOMEM;
    }
    c->common = c->block;
    c->own = (const char *)c->block + own_offset();
    add(c, common_rows, COUNT(common_rows), 0);
    if (spec->wants & PAT_WANT_BUS)
        add(c, bus_rows, COUNT(bus_rows), 0);
    if (spec->wants & PAT_WANT_DB)
        add(c, db_rows, COUNT(db_rows), 0);
    add(c, spec->rows, spec->n_rows, own_offset());
    qsort(c->rows, c->n, sizeof *c->rows, by_name);
    return PAT_OK;
}

static int check_db_url(const char *name, const char *url, struct pat_buf *errors)
{
    if (!url || !*url || pat_db_url_valid(url))
        return PAT_OK;
    pat_buf_addf(errors, "%s: Postgres cannot read it (is something escaped wrongly?)\n", name);
    return PAT_EINVAL;
}

static int check_pair(const char *a, const char *b, const char *names, struct pat_buf *errors)
{
    if ((a && *a) == (b && *b))
        return PAT_OK;
    pat_buf_addf(errors, "%s: one needs the other\n", names);
    return PAT_EINVAL;
}

/* As the client reads them: "host:port", "nats://host:port", "tls://host:port". */
static int check_nats_urls(const char *urls, struct pat_buf *errors)
{
    const char *what = NULL;

    for (size_t n; urls && *urls && !what; urls += n + (urls[n] == ',')) {
        const char *scheme = strstr(urls, "://"), *host = urls;

        n = strcspn(urls, ",");
        if (scheme && scheme < urls + n) {
            host = scheme + 3;
            if (strncmp(urls, "nats://", 7) != 0 && strncmp(urls, "tls://", 6) != 0)
                what = "must be servers such as nats://host:4222 or tls://host:4222";
        }
        if (host == urls + n || strcspn(host, " /?#") < (size_t)(urls + n - host))
            what = "must be servers such as nats://host:4222, and nothing behind the port";
        /* A list is shown as it is: it must not carry what may not be shown. */
        if (memchr(urls, '@', n))
            what = "must not hold a user or password, see PAT_NATS_USER";
    }
    if (!what)
        return PAT_OK;
    pat_buf_addf(errors, "PAT_NATS_URL: %s\n", what);
    return PAT_EINVAL;
}

static int check_common(const struct daemon_common *c, struct pat_buf *errors)
{
    int err = check_db_url("PAT_DATABASE_URL", c->database_url, errors);
    int listen_err = check_db_url("PAT_DATABASE_LISTEN_URL", c->database_listen_url, errors);

    if (listen_err || check_nats_urls(c->nats_url, errors))
        err = PAT_EINVAL;
    return check_pair(c->nats_cert_file, c->nats_key_file, "PAT_NATS_CERT_FILE, PAT_NATS_KEY_FILE",
                      errors) ||
                   check_pair(c->nats_nkey, c->nats_nkey_seed_file,
                              "PAT_NATS_NKEY, PAT_NATS_NKEY_SEED_FILE", errors)
               ? PAT_EINVAL
               : err;
}

int daemon_conf_load(struct daemon_conf *c, const struct pat_daemon_spec *spec,
                     struct pat_buf *errors)
{
    int err = pat_conf_load(c->rows, c->n, c->block, NULL, NULL, errors);
    int own = PAT_OK;

    if (err && err != PAT_EINVAL)
        return err;
    if (!err)
        err = check_common(c->common, errors);
    if (!err && spec->check) /* it may rely on every value being there */
        own = spec->check(c->own, errors);
    return err ? err : own;
}

void daemon_conf_fini(struct daemon_conf *c)
{
    if (c->block && c->rows)
        pat_conf_free(c->rows, c->n, c->block);
    free(c->block);
    free(c->rows);
    *c = (struct daemon_conf){ 0 };
}
