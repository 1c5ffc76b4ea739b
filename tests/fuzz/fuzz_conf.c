/* fuzz_conf.c - the value of a setting, read as each kind; and that no password is shown.
 *
 * The whole input is the value. What a kind takes obeys its rule. */
#include "conf.h"
#include "conf_parse.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct settings {
    char *text[PAT_CONF_LIST + 1];
    int64_t number;
    int64_t time_ms;
    bool flag;
};

#define TEXT(kind) offsetof(struct settings, text[kind])

static const struct pat_conf_row rows[] = {
    { "PAT_STR", PAT_CONF_STR, TEXT(PAT_CONF_STR), NULL, "", NULL, 0, 0, 0 },
    { "PAT_SECRET", PAT_CONF_SECRET, TEXT(PAT_CONF_SECRET), NULL, "", NULL, 0, 0, 0 },
    { "PAT_URL", PAT_CONF_URL, TEXT(PAT_CONF_URL), NULL, "", "http,nats,postgresql", 0, 0, 0 },
    { "PAT_ADDR", PAT_CONF_ADDR, TEXT(PAT_CONF_ADDR), NULL, "", NULL, 0, 0, 0 },
    { "PAT_INT", PAT_CONF_INT, offsetof(struct settings, number), NULL, "", NULL, -5, 5, 0 },
    { "PAT_MS", PAT_CONF_MS, offsetof(struct settings, time_ms), NULL, "", NULL, 0, 60000, 0 },
    { "PAT_BOOL", PAT_CONF_BOOL, offsetof(struct settings, flag), NULL, "", NULL, 0, 0, 0 },
    { "PAT_ENUM", PAT_CONF_ENUM, TEXT(PAT_CONF_ENUM), NULL, "", "json,text", 0, 0, 0 },
    { "PAT_LIST", PAT_CONF_LIST, TEXT(PAT_CONF_LIST), NULL, "", NULL, 0, 0, 0 },
};

static const char *same(const char *name, void *value)
{
    return strstr(name, "_FILE") ? NULL : value;
}

static void check_row(const struct pat_conf_row *row, char *value)
{
    struct settings s = { .number = 0 };
    struct pat_buf errors;
    int err;

    pat_buf_init(&errors, 1 << 20);
    err = pat_conf_load(row, 1, &s, same, value, &errors);
    if (!err == !!errors.len || s.number < -5 || s.number > 5 || s.time_ms < 0 || s.time_ms > 60000)
        abort();
    if (!err && row->kind == PAT_CONF_LIST && strstr(s.text[PAT_CONF_LIST], ",,"))
        abort();
    pat_conf_free(row, 1, &s);
    pat_buf_fini(&errors);
}

/* A password stands between the scheme and the host; nothing around it makes it visible. */
static void check_redacted(const char *user)
{
    struct pat_buf url;
    struct pat_buf shown;

    if (user[strcspn(user, "/?#")])
        return; /* ends the part where a password can stand */
    pat_buf_init(&url, 1 << 22);
    pat_buf_init(&shown, 1 << 22);
    if (pat_buf_addf(&url, "http://%s:sesame@h/", user) || pat__conf_redact(url.data, &shown) ||
        (strstr(shown.data, "sesame") && !strstr(user, "sesame")))
        abort();
    pat_buf_fini(&url);
    pat_buf_fini(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PAT_AUTO_STR value = strndup((const char *)data, size);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_row(&rows[i], value);
    check_redacted(value);
    return 0;
}
