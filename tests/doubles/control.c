/* control.c - the control API and the desk's common tools: log, scripted faults, delayed work.
 *
 * How: everything a test may script is a field of struct dbl, set by POST and read by the vendors.
 * It does not know any vendor's own keys. */
#include "doubles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A run of the test suite asks within seconds; older entries are dropped. */
enum { MAX_ENTRIES = 5000 };

struct dbl_entry {
    int64_t seq;
    struct pat_json *j;
    struct dbl_entry *next;
};

struct dbl_later {
    struct dbl *d;
    pat_loop_fn *fn, *drop;
    void *arg;
    struct pat_timer timer;
    struct dbl_later *next;
};

struct pat_json *dbl_obj(const char *key, const char *value)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_str(j, key, value);
    return j;
}

static void log_drop_first(struct dbl *d)
{
    struct dbl_entry *e = d->first;

    d->first = e->next;
    if (!d->first)
        d->last = NULL;
    d->n_entries--;
    pat_json_free(e->j);
    free(e);
}

void dbl_log(struct dbl *d, const char *kind, struct pat_json *detail)
{
    struct dbl_entry *e = calloc(1, sizeof *e);

    if (!e) {
        pat_json_free(detail);
        return;
    }
    e->seq = d->next_seq++;
    e->j = detail ? detail : pat_json_obj();
    pat_json_set_str(e->j, "kind", kind);
    pat_json_set_int(e->j, "seq", e->seq);
    pat_json_set_int(e->j, "at_ms", pat_unix_ms());
    if (d->last)
        d->last->next = e;
    else
        d->first = e;
    d->last = e;
    if (++d->n_entries > MAX_ENTRIES)
        log_drop_first(d);
}

bool dbl_key_ok(const struct dbl *d, const char *key)
{
    if (!key || !*key)
        return false;
    return *d->key ? !strcmp(d->key, key) : strncmp(key, "bad", 3) != 0;
}

bool dbl_fail_take(struct dbl *d, const char *path, struct dbl_fail *out)
{
    struct dbl_fail *f = &d->fail;

    if (!f->status || !f->times || (*f->path && !strstr(path, f->path)))
        return false;
    if (f->after > 0) {
        f->after--;
        return false;
    }
    if (f->times > 0)
        f->times--;
    *out = *f;
    return true;
}

bool dbl_cut_take(struct dbl *d, int messages, struct dbl_cut *out)
{
    if (!d->cut.times || messages < d->cut.after)
        return false;
    if (d->cut.times > 0)
        d->cut.times--;
    *out = d->cut;
    return true;
}

static void later_unlink(struct dbl_later *l)
{
    struct dbl_later **at = &l->d->later;

    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    pat_timer_fini(&l->timer);
}

static void on_later(void *arg)
{
    struct dbl_later *l = arg;
    pat_loop_fn *fn = l->fn;
    void *its = l->arg;

    later_unlink(l);
    free(l);
    fn(its);
}

int dbl_after(struct dbl *d, int64_t ms, pat_loop_fn *fn, pat_loop_fn *drop, void *arg)
{
    struct dbl_later *l = calloc(1, sizeof *l);
    int err;

    if (!l)
        return PAT_ENOMEM;
    *l = (struct dbl_later){ .d = d, .fn = fn, .drop = drop, .arg = arg };
    err = pat_timer_init(&l->timer, d->loop, on_later, l);
    if (err) {
        free(l);
        return err;
    }
    l->next = d->later;
    d->later = l;
    pat_timer_start(&l->timer, ms);
    return PAT_OK;
}

void dbl_forget(struct dbl *d)
{
    while (d->later) {
        struct dbl_later *l = d->later;

        later_unlink(l);
        l->drop(l->arg);
        free(l);
    }
    while (d->first)
        log_drop_first(d);
    pat_json_free(d->bills);
    d->bills = NULL;
}

void dbl_reply(struct pat_httpd_req *r, int status, struct pat_json *body)
{
    pat_httpd_reply_json(r, status, body);
    pat_json_free(body);
}

bool dbl_flag(const struct pat_json *v)
{
    PAT_AUTO_STR text = pat_json_print(v);

    return text && !strcmp(text, "true");
}

void dbl_send(struct pat_ws *ws, struct pat_json *j)
{
    PAT_AUTO_STR text = pat_json_print(j);

    if (!text || pat_ws_send(ws, text, strlen(text), true))
        pat_log(PAT_WARN, "doubles.not_sent");
    pat_json_free(j);
}

void dbl_defaults(struct dbl *d)
{
    d->latency_ms = 0;
    d->key[0] = '\0';
    d->fail = (struct dbl_fail){ 0 };
    d->cut = (struct dbl_cut){ 0 };
    pat_json_free(d->bills);
    d->bills = NULL;
    while (d->first)
        log_drop_first(d);
    if (d->vendor->reset)
        d->vendor->reset(d);
}

static void set_fail(struct dbl *d, const struct pat_json *v)
{
    struct dbl_fail *f = &d->fail;

    *f = (struct dbl_fail){ .status = (int)pat_json_int_or(v, "status", 0),
                            .times = (int)pat_json_int_or(v, "times", 1),
                            .after = (int)pat_json_int_or(v, "after", 0),
                            .retry_after_ms = pat_json_int_or(v, "retry_after_ms", 0) };
    pat_strcpy(f->code, sizeof f->code, pat_json_str_or(v, "code", ""));
    pat_strcpy(f->type, sizeof f->type, pat_json_str_or(v, "type", ""));
    pat_strcpy(f->message, sizeof f->message, pat_json_str_or(v, "message", "scripted failure"));
    pat_strcpy(f->path, sizeof f->path, pat_json_str_or(v, "path", ""));
}

static void set_cut(struct dbl *d, const struct pat_json *v)
{
    bool none = pat_json_kind(v) != PAT_JSON_OBJ;

    d->cut = (struct dbl_cut){ .times = none ? 0 : (int)pat_json_int_or(v, "times", 1),
                               .after = (int)pat_json_int_or(v, "after", 0),
                               .code = (int)pat_json_int_or(v, "code", 0) };
    pat_strcpy(d->cut.reason, sizeof d->cut.reason, pat_json_str_or(v, "reason", ""));
}

static bool set_common(struct dbl *d, const char *key, const struct pat_json *v)
{
    const char *text = pat_json_value_str(v);

    if (!strcmp(key, "latency_ms"))
        d->latency_ms = (int64_t)pat_json_value_num(v);
    else if (!strcmp(key, "key"))
        pat_strcpy(d->key, sizeof d->key, text ? text : "");
    else if (!strcmp(key, "fail"))
        set_fail(d, v);
    else if (!strcmp(key, "cut"))
        set_cut(d, v);
    else if (!strcmp(key, "bills")) {
        pat_json_free(d->bills);
        d->bills = pat_json_dup(v);
    } else
        return !strcmp(key, "reset");
    return true;
}

static struct dbl *desk_of(struct pat_httpd_req *r, struct doubles *all)
{
    const char *name = pat_httpd_param(r, "vendor");
    struct dbl *d = dbl_find(all, name ? name : "");

    if (!d)
        pat_httpd_reply_error(r, PAT_ENOENT, "vendor", "no such vendor");
    return d;
}

static void on_control(struct pat_httpd_req *r, void *arg)
{
    PAT_AUTO_JSON body = NULL;
    struct dbl *d = desk_of(r, arg);
    size_t len;
    const char *text = pat_httpd_body(r, &len);
    struct pat_json_err e;

    if (!d)
        return;
    if (pat_json_parse(&body, text, len, &e) || pat_json_kind(body) != PAT_JSON_OBJ) {
        pat_httpd_reply_error(r, PAT_EINVAL, NULL, "the body must be a JSON object");
        return;
    }
    if (pat_json_bool_or(body, "reset", false))
        dbl_defaults(d);
    for (size_t i = 0; i < pat_json_size(body); i++) {
        const struct pat_json *v = pat_json_item(body, i);
        const char *key = pat_json_key(v);

        if (set_common(d, key, v) || (d->vendor->control && d->vendor->control(d, key, v)))
            continue;
        pat_httpd_reply_error(r, PAT_EINVAL, key, "this vendor has no such key");
        return;
    }
    dbl_reply(r, 200, dbl_obj("vendor", d->vendor->name));
}

static void on_log(struct pat_httpd_req *r, void *arg)
{
    struct dbl *d = desk_of(r, arg);
    struct pat_json *out, *entries;
    const char *since_text = pat_httpd_query_param(r, "since");
    int64_t since = since_text ? strtoll(since_text, NULL, 10) : 0;

    if (!d)
        return;
    out = pat_json_obj();
    entries = pat_json_arr();
    for (const struct dbl_entry *e = d->first; e; e = e->next)
        if (e->seq >= since)
            pat_json_add_take(entries, pat_json_dup(e->j));
    pat_json_set_take(out, "entries", entries);
    pat_json_set_int(out, "next", d->next_seq);
    dbl_reply(r, 200, out);
}

static void on_log_clear(struct pat_httpd_req *r, void *arg)
{
    struct dbl *d = desk_of(r, arg);

    if (!d)
        return;
    while (d->first)
        log_drop_first(d);
    dbl_reply(r, 200, pat_json_obj());
}

static void on_list(struct pat_httpd_req *r, void *arg)
{
    struct doubles *all = arg;
    struct pat_json *out = pat_json_obj(), *ports = pat_json_obj();

    pat_json_set_int(ports, "control", dbl_control_port(all));
    for (size_t i = 0; i < dbl_count(all); i++)
        pat_json_set_int(ports, dbl_at(all, i)->vendor->name, dbl_at(all, i)->port);
    pat_json_set_take(out, "ports", ports);
    dbl_reply(r, 200, out);
}

int dbl_control_routes(struct doubles *all, struct pat_httpd *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/control", 0, on_list },
        { "POST", "/control/{vendor}", 0, on_control },
        { "GET", "/control/{vendor}/log", 0, on_log },
        { "DELETE", "/control/{vendor}/log", 0, on_log_clear },
        { 0 },
    };

    return pat_httpd_routes(s, routes, all);
}
