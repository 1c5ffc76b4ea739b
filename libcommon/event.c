/* event.c - the envelope, written around the printed data, and read again.
 *
 * No tree is built for the envelope: an event costs its data's printing and one allocation more.
 * What the data holds is the business of docs/events, not of this file.
 */
#include "event.h"

#include "loop.h"
#include "sign.h"

#include <stdlib.h>
#include <string.h>

enum { EVENT_HEAD = 512 }; /* about what the envelope takes */

static bool needs_mask(unsigned char c)
{
    return c <= 0x20 || c >= 0x7f || c == '.' || c == '*' || c == '>';
}

void pat_subject_token(char *out, size_t cap, const char *s)
{
    if (!cap)
        return;
    if (!s || !*s)
        s = "-";
    for (; *s && cap > 1; s++, cap--)
        *out++ = needs_mask((unsigned char)*s) ? '_' : *s;
    *out = '\0';
}

int pat_event_subject(const struct pat_event *e, char out[PAT_SUBJECT_MAX])
{
    const char *tokens[] = { "pat", e->area, "v1", e->name, e->user_id, e->key };
    size_t len = 0;

    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        size_t n = tokens[i] && *tokens[i] ? strlen(tokens[i]) : 1;

        if (n + 1 >= PAT_SUBJECT_MAX - len)
            return PAT_E2BIG;
        if (i)
            out[len++] = '.';
        pat_subject_token(out + len, PAT_SUBJECT_MAX - len, tokens[i]);
        len += n;
    }
    return PAT_OK;
}

static void add_attribute(struct pat_buf *out, const char *name, const char *value)
{
    if (!value || !*value)
        return; /* CloudEvents knows no empty attributes */
    pat_buf_adds(out, "\"");
    pat_buf_adds(out, name);
    pat_buf_adds(out, "\":");
    pat_json_quote(out, value, strlen(value));
    pat_buf_add(out, ",", 1);
}

static int add_head(struct pat_buf *out, const struct pat_event *e, const char *id)
{
    char time[PAT_TIME_LEN + 1];

    pat_time_format(e->time_ms ? e->time_ms : pat_unix_ms(), time);
    pat_buf_adds(out, "{\"specversion\":\"1.0\",\"id\":\"");
    pat_buf_adds(out, id);
    pat_buf_adds(out, "\",\"type\":\"pat.");
    pat_buf_adds(out, e->area);
    pat_buf_adds(out, ".v1.");
    pat_buf_adds(out, e->name);
    pat_buf_adds(out, "\",");
    add_attribute(out, "source", e->source);
    add_attribute(out, "subject", e->key);
    add_attribute(out, "userid", e->user_id);
    pat_buf_adds(out, "\"time\":\"");
    pat_buf_add(out, time, PAT_TIME_LEN);
    return pat_buf_adds(out, "\",\"datacontenttype\":\"application/json\",\"data\":");
}

/* tree or text. */
static int make(struct pat_event_text *out, const struct pat_event *e, const struct pat_json *tree,
                const char *text)
{
    struct pat_event_text made = { .json = NULL };
    struct pat_buf json;
    int err;

    if (!e->source || !*e->source)
        return PAT_EINVAL;
    err = pat_event_subject(e, made.subject);
    if (err)
        return err;
    made.id = e->id ? *e->id : pat_id_new();
    pat_buf_init(&json, PAT_EVENT_MAX);
    (void)pat_buf_reserve(&json, EVENT_HEAD + (text ? strlen(text) : EVENT_HEAD)); /* sticks */
    err = add_head(&json, e, made.id.s);
    if (!err)
        err = text ? pat_buf_adds(&json, text) : pat_json_print_to(tree, &json);
    if (!err)
        err = pat_buf_add(&json, "}", 1);
    if (!err) {
        made.len = json.len;
        made.json = pat_buf_take(&json);
        *out = made;
    }
    err = json.err ? json.err : err;
    pat_buf_fini(&json);
    return err;
}

int pat_event_make(struct pat_event_text *out, const struct pat_event *e,
                   struct pat_json *data_take)
{
    PAT_AUTO_JSON data = data_take;

    if (!data)
        return PAT_ENOMEM; /* building it failed */
    return pat_json_kind(data) == PAT_JSON_OBJ ? make(out, e, data, NULL) : PAT_EINVAL;
}

int pat_event_make_text(struct pat_event_text *out, const struct pat_event *e, const char *data)
{
    return make(out, e, NULL, data);
}

struct pat_id pat_event_id_once(const char *key, const char *what)
{
    uint8_t sum[32];
    struct pat_id id;
    char text[2 * PAT_SUBJECT_MAX];
    size_t len;

    (void)pat_strcpy(text, sizeof text - 1, key);
    len = strlen(text);
    text[len++] = ' ';
    (void)pat_strcpy(text + len, sizeof text - len, what);
    pat_sha256(text, strlen(text), sum);
    sum[6] = (uint8_t)(0x80 | (sum[6] & 0x0f));
    sum[8] = (uint8_t)(0x80 | (sum[8] & 0x3f));
    for (int i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            id.s[at++] = '-';
        id.s[at++] = "0123456789abcdef"[sum[i] >> 4];
        id.s[at++] = "0123456789abcdef"[sum[i] & 15];
    }
    id.s[PAT_ID_LEN] = '\0';
    return id;
}

void pat_event_text_fini(struct pat_event_text *t)
{
    free(t->json);
    *t = (struct pat_event_text){ .json = NULL };
}

static int fault(struct pat_json_err *err, const char *path, const char *what)
{
    if (err) {
        (void)pat_strcpy(err->path, sizeof err->path, path);
        (void)pat_strcpy(err->what, sizeof err->what, what);
    }
    return PAT_EINVAL;
}

/* "pat.<area>.v1.<event>" */
static bool type_ok(const char *type)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyz_";
    size_t n;

    if (strncmp(type, "pat.", 4) != 0)
        return false;
    type += 4;
    n = strspn(type, word);
    if (!n || strncmp(type + n, ".v1.", 4) != 0)
        return false;
    type += n + 4;
    n = strspn(type, word);
    return n && type[n] == '\0';
}

static int check(const struct pat_json *j, struct pat_json_err *err)
{
    const char *s;
    const struct pat_json *data;
    int e = pat_json_get_str(j, "specversion", &s, err);

    if (!e && strcmp(s, "1.0") != 0)
        e = fault(err, "specversion", "must be 1.0");
    if (!e)
        e = pat_json_get_id(j, "id", &s, err);
    if (!e)
        e = pat_json_get_str(j, "source", &s, err);
    if (!e && !*s)
        e = fault(err, "source", "must not be empty");
    if (!e)
        e = pat_json_get_str(j, "type", &s, err);
    if (!e && !type_ok(s))
        e = fault(err, "type", "must be pat.<area>.v1.<event>");
    if (!e)
        e = pat_json_get_obj(j, "data", &data, err);
    return e;
}

int pat_event_parse(struct pat_json **out, const char *text, size_t len, struct pat_json_err *err)
{
    PAT_AUTO_JSON j = NULL;
    int e = len > PAT_EVENT_MAX ? fault(err, "", "larger than an event may be")
                                : pat_json_parse(&j, text, len, err);

    if (!e)
        e = check(j, err);
    if (e)
        return e;
    *out = j;
    j = NULL;
    return PAT_OK;
}
