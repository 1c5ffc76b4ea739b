/* out_message.c - see out_message.h. */
#include "out_message.h"

#include "out_target.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TYPE_MAX = 96, THIN_ID_MAX = 200 };

/* "2026-11-22T10:00:00.123Z", and a time that there is: anything else would fail a whole batch in
 * Postgres. */
static bool time_valid(const char *s)
{
    struct tm tm = { 0 };
    char again[PAT_TIME_LEN + 1];
    const char *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);

    if (!rest || *rest != '.' || strlen(rest) != sizeof ".123Z" - 1)
        return false;
    pat_time_format((int64_t)timegm(&tm) * 1000 + strtol(rest + 1, NULL, 10), again);
    return !strcmp(again, s);
}

char *out_message_body(const char *type, const char *time, const struct pat_json *data)
{
    PAT_AUTO_JSON j = pat_json_obj();

    pat_json_set_str(j, "type", type);
    pat_json_set_str(j, "timestamp", time);
    pat_json_set_take(j, "data", pat_json_dup(data));
    return pat_json_print(j);
}

static bool names_an_id(const char *key)
{
    size_t n = strlen(key);

    return !strcmp(key, "id") || (n > 3 && !strcmp(key + n - 3, "_id"));
}

char *out_message_thin(const char *type, const char *time, const char *id,
                       const struct pat_json *data)
{
    PAT_AUTO_JSON j = pat_json_obj();
    struct pat_json *ids = pat_json_obj();

    pat_json_set_str(j, "type", type);
    pat_json_set_str(j, "timestamp", time);
    pat_json_set_str(ids, "event_id", id);
    PAT_JSON_EACH(it, data)
    {
        const char *value = pat_json_value_str(it);

        if (names_an_id(pat_json_key(it)) && value && strlen(value) <= THIN_ID_MAX)
            pat_json_set_str(ids, pat_json_key(it), value);
    }
    pat_json_set_bool(ids, "thin", true);
    pat_json_set_take(j, "data", ids);
    return pat_json_print(j);
}

/* What is between us and LiveKit or Retell, and signed, is no customer's. */
static void keep_back(struct pat_json *data)
{
    const char *target = pat_json_str_or(data, "sip_target", NULL);
    const char *query = target ? strchr(target, '?') : NULL;
    PAT_AUTO_STR rest = query ? strndup(target, (size_t)(query - target)) : NULL;

    if (query)
        pat_json_set_str(data, "sip_target", rest);
}

static void add_field(struct pat_buf *out, const char *name, const char *value, bool last)
{
    pat_buf_addf(out, "\"%s\":", name);
    (void)pat_json_quote(out, value, strlen(value));
    pat_buf_adds(out, last ? "}" : ",");
}

int out_message_add(struct pat_buf *array, const char *event, size_t len)
{
    PAT_AUTO_JSON j = NULL;
    PAT_AUTO_STR body = NULL;
    PAT_AUTO_STR thin = NULL;
    const char *id, *type_in, *time, *user;
    const struct pat_json *data;
    char type[TYPE_MAX];
    int err = pat_event_parse(&j, event, len, NULL);

    if (err)
        return err;
    id = pat_json_str_or(j, "id", "");
    type_in = pat_json_str_or(j, "type", "");
    time = pat_json_str_or(j, "time", "");
    user = pat_json_str_or(j, "userid", "");
    if (!out_type_of(type, sizeof type, type_in) || !pat_id_valid(user))
        return PAT_ENOENT;
    if (!pat_id_valid(id) || !time_valid(time) || pat_json_get_obj(j, "data", &data, NULL))
        return PAT_EINVAL;
    keep_back((struct pat_json *)data); /* the tree is ours */
    body = out_message_body(type, time, data);
    thin = out_message_thin(type, time, id, data);
    if (!body || !thin)
        return PAT_ENOMEM;
    pat_buf_adds(array, array->len > 1 ? ",{" : "{");
    add_field(array, "id", id, false);
    add_field(array, "user_id", user, false);
    add_field(array, "type", type, false);
    add_field(array, "key", pat_json_str_or(j, "subject", "-"), false);
    add_field(array, "at", time, false);
    add_field(array, "thin", thin, false);
    add_field(array, "body", body, true);
    return array->err;
}
