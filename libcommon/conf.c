/* conf.c - the table at work: load, free, warn, help, log.
 *
 * Values come from the environment or from files named there; nothing is re-read later.
 */
#include "conf.h"

#include "conf_parse.h"
#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_MAX = 64 << 10, /* a PEM bundle is the largest thing anyone puts into a setting */
    NAME_MAX_ = 128,
    SHOWN_MAX = 4096, /* one value as shown; a log line is no longer */
};

static const char *from_environment(const char *name, void *arg)
{
    (void)arg;
    return getenv(name);
}

struct source {
    pat_conf_getenv_fn *get;
    void *arg;
};

/* An empty variable is what compose files make of an unset one. */
static const char *look_up(const struct source *s, const char *name)
{
    const char *v = s->get(name, s->arg);

    return v && *v ? v : NULL;
}

static int complain(struct pat_buf *errors, const char *name, const char *what)
{
    pat_buf_addf(errors, "%s: %s\n", name, what);
    return PAT_EINVAL;
}

static int read_file(const char *name, const char *path, struct pat_buf *text,
                     struct pat_buf *errors)
{
    FILE *f = fopen(path, "re");
    char *room = pat_buf_reserve(text, FILE_MAX + 1);
    bool failed;

    if (f && room)
        text->len = fread(room, 1, FILE_MAX + 1, f);
    failed = !f || ferror(f);
    if (failed)
        pat_buf_addf(errors, "%s: cannot read %s: %s\n", name, path, strerror(errno));
    if (f)
        (void)fclose(f);
    if (!room)
        return PAT_ENOMEM;
    if (failed)
        return PAT_EINVAL;
    if (text->len > FILE_MAX)
        return complain(errors, name, "the file is larger than 64 KiB");
    if (text->len && room[text->len - 1] == '\n')
        text->len--;
    if (text->len && room[text->len - 1] == '\r')
        text->len--;
    room[text->len] = '\0';
    if (strlen(room) != text->len)
        return complain(errors, name, "the file has a NUL byte in it");
    return PAT_OK;
}

/* What the row's value is written as, borrowed from the environment, the file's text or the table;
 * NULL when it is set nowhere. */
static int find_text(const struct pat_conf_row *row, const struct source *s, struct pat_buf *file,
                     const char **out, struct pat_buf *errors)
{
    char file_name[NAME_MAX_];
    const char *direct = look_up(s, row->name);
    const char *path;
    int err;

    (void)snprintf(file_name, sizeof file_name, "%s_FILE", row->name);
    path = look_up(s, file_name);
    *out = direct ? direct : row->def;
    if (!path)
        return PAT_OK;
    if (direct) {
        pat_buf_addf(errors, "%s: is set, and so is %s: one of them must go\n", row->name,
                     file_name);
        return PAT_EINVAL;
    }
    err = read_file(file_name, path, file, errors);
    *out = file->data;
    return err;
}

static int load_text(const struct pat_conf_row *row, const char *text, void *out,
                     struct pat_buf *errors)
{
    struct pat_buf why;
    int err;

    pat_buf_init(&why, SHOWN_MAX);
    err = pat__conf_parse(row, text, out, &why);
    if (err == PAT_EINVAL && row->kind == PAT_CONF_URL && !strstr(text, "://")) {
        /* "host=... password=...": what may be secret in it nobody can tell. */
        pat_buf_addf(errors, "%s: %s\n", row->name, why.data ? why.data : "is wrong");
    } else if (err == PAT_EINVAL && row->kind == PAT_CONF_URL && !why.err) {
        pat_buf_addf(errors, "%s: %s, got \"", row->name, why.data);
        pat__conf_redact(text, errors);
        pat_buf_adds(errors, "\"\n");
    } else if (err == PAT_EINVAL) {
        pat_buf_addf(errors, "%s: %s, got \"%s\"\n", row->name, why.data ? why.data : "is wrong",
                     text);
    }
    pat_buf_fini(&why);
    return err;
}

static int load_row(const struct pat_conf_row *row, const struct source *s, void *out,
                    struct pat_buf *errors)
{
    struct pat_buf file;
    const char *text = NULL;
    int err;

    pat_buf_init(&file, FILE_MAX + 1);
    err = find_text(row, s, &file, &text, errors);
    if (!err && (!text || !*text) && (row->flags & PAT_CONF_REQUIRED))
        err = complain(errors, row->name, "is required");
    else if (!err && ((text && *text) || pat__conf_is_text(row->kind)))
        err = load_text(row, text ? text : "", out, errors);
    if (file.data)
        explicit_bzero(file.data, file.cap);
    pat_buf_fini(&file);
    return err;
}

int pat_conf_load(const struct pat_conf_row *rows, size_t n, void *out,
                  pat_conf_getenv_fn *getenv_fn, void *arg, struct pat_buf *errors)
{
    struct source s = { getenv_fn ? getenv_fn : from_environment, arg };
    int result = PAT_OK;

    for (size_t i = 0; i < n; i++) {
        int err = load_row(&rows[i], &s, out, errors);

        if (err && result != PAT_ENOMEM)
            result = err;
    }
    if (result)
        pat_conf_free(rows, n, out);
    return result;
}

void pat_conf_free(const struct pat_conf_row *rows, size_t n, void *out)
{
    for (size_t i = 0; i < n; i++) {
        char **field = (char **)(void *)((char *)out + rows[i].offset);

        if (!pat__conf_is_text(rows[i].kind))
            continue;
        if (*field && rows[i].kind == PAT_CONF_SECRET)
            explicit_bzero(*field, strlen(*field));
        free(*field);
        *field = NULL;
    }
}

static bool knows(const struct pat_conf_row *rows, size_t n, const char *name, size_t len)
{
    for (size_t i = 0; i < n; i++) {
        size_t own = strlen(rows[i].name);

        if (len >= own && !strncmp(rows[i].name, name, own) &&
            (len == own || (len == own + 5 && !strncmp(name + own, "_FILE", 5))))
            return true;
    }
    return false;
}

void pat_conf_unknown(const struct pat_conf_row *rows, size_t n, const char *prefix,
                      char **environ_, struct pat_buf *out)
{
    for (; *environ_; environ_++) {
        size_t len = strcspn(*environ_, "=");

        if (strncmp(*environ_, prefix, strlen(prefix)) != 0 || knows(rows, n, *environ_, len))
            continue;
        if (out->len)
            pat_buf_adds(out, " ");
        pat_buf_add(out, *environ_, len);
    }
}

static const char *kind_hint(const struct pat_conf_row *row)
{
    switch (row->kind) {
    case PAT_CONF_STR:
        return "text";
    case PAT_CONF_SECRET:
        return "secret";
    case PAT_CONF_URL:
        return "url";
    case PAT_CONF_ADDR:
        return "host:port";
    case PAT_CONF_INT:
        return "number";
    case PAT_CONF_MS:
        return "time";
    case PAT_CONF_BOOL:
        return "true|false";
    case PAT_CONF_ENUM:
        return row->arg;
    case PAT_CONF_LIST:
        return "a,b,...";
    }
    return "";
}

void pat_conf_help(const struct pat_conf_row *rows, size_t n, FILE *to)
{
    for (size_t i = 0; i < n; i++) {
        (void)fprintf(to, "  %s=%s", rows[i].name, kind_hint(&rows[i]));
        if (rows[i].flags & PAT_CONF_REQUIRED)
            (void)fputs("  (required)", to);
        else if (rows[i].def && *rows[i].def)
            (void)fprintf(to, "  (default %s)", rows[i].def);
        (void)fprintf(to, "\n      %s\n", rows[i].help ? rows[i].help : "");
    }
    (void)fputs("  Any NAME can be given as NAME_FILE, a file that holds the value.\n", to);
}

static struct pat_field show(const struct pat_conf_row *row, const void *conf, struct pat_buf *url)
{
    const char *field = (const char *)conf + row->offset;
    const char *text = NULL;

    if (pat__conf_is_text(row->kind))
        text = *(const char *const *)(const void *)field;
    switch (row->kind) {
    case PAT_CONF_INT:
    case PAT_CONF_MS:
        return PAT_I(row->name, *(const int64_t *)(const void *)field);
    case PAT_CONF_BOOL:
        return PAT_B(row->name, *(const bool *)(const void *)field);
    case PAT_CONF_SECRET:
        return PAT_S(row->name, text && *text ? "***" : "");
    case PAT_CONF_URL:
        return PAT_S(row->name, text && !pat__conf_redact(text, url) ? url->data : "");
    default:
        return PAT_S(row->name, text);
    }
}

void pat_conf_log(const struct pat_conf_row *rows, size_t n, const void *conf)
{
    struct pat_field *fields = calloc(n + 1, sizeof *fields);
    struct pat_buf *urls = calloc(n + 1, sizeof *urls);

    for (size_t i = 0; i < n && fields && urls; i++) {
        pat_buf_init(&urls[i], SHOWN_MAX);
        fields[i] = show(&rows[i], conf, &urls[i]);
    }
    if (fields && urls)
        pat_log_write(PAT_INFO, "config", fields);
    for (size_t i = 0; i < n && urls; i++)
        pat_buf_fini(&urls[i]);
    free(urls);
    free(fields);
}
