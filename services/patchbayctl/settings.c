/* settings.c - what the environment says: see settings.h. */
#include "settings.h"

static const struct pat_conf_row rows[] = {
    PAT_CONF_ROW(struct settings, "PAT_CA_FILE", PAT_CONF_STR, ca_file, NULL,
                 "certificates to trust, instead of the system's"),
    PAT_CONF_ROW(struct settings, "PAT_SWITCHER_URL", PAT_CONF_URL, url, "http://127.0.0.1:8083",
                 "where the stack-switcher's API is", .arg = "http,https"),
    PAT_CONF_ROW(struct settings, "PAT_TOKEN", PAT_CONF_SECRET, token, NULL,
                 "a Supabase token: of an admin, or a service's; or PAT_TOKEN_FILE"),
};
enum { ROWS = sizeof rows / sizeof rows[0] };

int settings_load(struct settings *out)
{
    struct pat_buf errors;
    int err;

    *out = (struct settings){ 0 };
    pat_buf_init(&errors, 4096);
    err = pat_conf_load(rows, ROWS, out, NULL, NULL, &errors);
    if (err)
        fprintf(stderr, "patchbayctl: %s", errors.len ? errors.data : "out of memory\n");
    pat_buf_fini(&errors);
    return err;
}

void settings_free(struct settings *s)
{
    pat_conf_free(rows, ROWS, s);
}

void settings_help(FILE *to)
{
    pat_conf_help(rows, ROWS, to);
}
