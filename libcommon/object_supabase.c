/* object_supabase.c - what Supabase Storage is asked, and what its answers say.
 *
 * How: supabase/storage, src/http/routes/object. Nearly every error has HTTP status 400; the true
 * one is text in the body. Multipart is not done: its resumable uploads are another protocol.
 */
#include "json.h"
#include "object_int.h"

#include <stdlib.h>
#include <string.h>

static const char *method_of(enum object_verb v)
{
    return v == OBJECT_GET ? "GET" : v == OBJECT_DELETE ? "DELETE" : "POST";
}

static int list_body(const struct object_ask *a, struct pat_buf *out)
{
    struct pat_json *j = pat_json_obj(), *by = pat_json_obj();
    size_t len = strlen(a->key);
    int err;

    /* A folder is named without its last slash. */
    pat_json_set_strn(j, "prefix", a->key, len && a->key[len - 1] == '/' ? len - 1 : len);
    pat_json_set_int(j, "limit", OBJECT_NAMES);
    pat_json_set_int(j, "offset", (int64_t)a->seen);
    pat_json_set_str(by, "column", "name");
    pat_json_set_str(by, "order", "asc");
    pat_json_set_take(j, "sortBy", by);
    err = pat_json_print_to(j, out);
    pat_json_free(j);
    return err;
}

int object_supabase_request(const struct pat_store *s, const struct object_ask *a,
                            struct object_request *r)
{
    int err;

    r->method = method_of(a->verb);
    pat_buf_addf(&r->url, "%s%s/storage/v1/object/%s%s", s->origin, s->base,
                 a->verb == OBJECT_GET    ? "authenticated/"
                 : a->verb == OBJECT_LIST ? "list/"
                                          : "",
                 s->bucket);
    if (a->verb != OBJECT_LIST) {
        pat_buf_adds(&r->url, "/");
        object_path(&r->url, a->key);
    }
    err = r->url.err;
    if (!err)
        err = object_header(r, "apikey", s->secret_key);
    if (!err) {
        struct pat_buf bearer;
        pat_buf_init(&bearer, 4096);
        pat_buf_addf(&bearer, "Bearer %s", s->secret_key);
        err = bearer.err ? bearer.err : object_header(r, "Authorization", bearer.data);
        pat_buf_fini(&bearer);
    }
    if (!err && a->verb == OBJECT_PUT)
        err = object_header(r, "x-upsert", "true");
    if (!err && (a->type || a->verb == OBJECT_LIST))
        err = object_header(r, "Content-Type", a->type ? a->type : "application/json");
    return err || a->verb != OBJECT_LIST ? err : list_body(a, &r->body);
}

int object_supabase_error(const struct pat_http_res *res)
{
    PAT_AUTO_JSON body = NULL;
    int status = res->status;

    if (status / 100 == 2)
        return PAT_OK;
    if (!pat_json_parse(&body, res->body, res->len, NULL)) {
        const char *text = pat_json_str_or(body, "statusCode", NULL);
        status = text ? (int)strtol(text, NULL, 10) : status;
    }
    return object_status_error(status);
}

int object_supabase_names(const char *body, size_t len, struct object_names *out)
{
    PAT_AUTO_JSON list = NULL;
    int err = pat_json_parse(&list, body, len, NULL);

    if (err || pat_json_kind(list) != PAT_JSON_ARR)
        return PAT_EPROTO;
    PAT_JSON_EACH(item, list)
    {
        const char *name = pat_json_str_or(item, "name", NULL);
        /* A folder has no id. */
        if (!name || !pat_json_str_or(item, "id", NULL) || out->n == OBJECT_NAMES)
            continue;
        if (!(out->names[out->n] = strdup(name)))
            return PAT_ENOMEM;
        out->n++;
    }
    out->more = pat_json_size(list) == OBJECT_NAMES;
    return PAT_OK;
}
