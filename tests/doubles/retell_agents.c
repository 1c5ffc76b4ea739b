/* retell_agents.c - agents and models of the Retell double, with the vendor's version rules
 * (docs.retellai.com, "Agent versions").
 *
 * Creating makes version 0, a draft. A published version is frozen; create-agent-version opens the
 * next draft from one that is there, and the model's with it: an agent and its model share the
 * number, and publishing the agent freezes both. What is written is logged as "wrote".
 */
#include "retell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void retell_new_id(char out[RETELL_ID_MAX], const char *prefix)
{
    struct pat_id id = pat_id_new();
    size_t at = (size_t)snprintf(out, RETELL_ID_MAX, "%s", prefix);

    for (const char *s = id.s; *s; s++)
        if (*s != '-')
            out[at++] = *s;
    out[at] = 0;
}

static struct retell_object *find(struct retell_object *list, const char *id)
{
    for (; list; list = list->next)
        if (!strcmp(list->id, id))
            return list;
    return NULL;
}

/* n negative: the newest. */
static struct retell_version *version_of(const struct retell_object *o, int64_t n)
{
    for (struct retell_version *v = o ? o->versions : NULL; v; v = v->next)
        if (n < 0 || v->n == n)
            return v;
    return NULL;
}

const struct pat_json *retell_agent(const struct retell *rt, const char *id, int64_t version)
{
    const struct retell_version *v = version_of(find(rt->agents, id), version);

    return v ? v->body : NULL;
}

const struct pat_json *retell_model(const struct retell *rt, const char *agent, int64_t version)
{
    const struct pat_json *a = retell_agent(rt, agent, version);
    const struct retell_object *o =
        find(rt->llms, pat_json_str_or(a, "response_engine.llm_id", ""));
    const struct retell_version *v = version_of(o, version);

    if (!v)
        v = version_of(o, -1);
    return v ? v->body : NULL;
}

/* Which version the request names by ?version=; -1: none. */
static int64_t asked(struct pat_httpd_req *r)
{
    const char *v = pat_httpd_query_param(r, "version");

    return v ? strtoll(v, NULL, 10) : -1;
}

static bool published(const struct retell_version *v)
{
    return pat_json_bool_or(v->body, "is_published", false);
}

static void copy_members(struct pat_json *to, const struct pat_json *from)
{
    PAT_JSON_EACH(v, from) pat_json_set_take(to, pat_json_key(v), pat_json_dup(v));
}

static struct retell_version *add_version(struct retell_object *o, const struct pat_json *from,
                                          int64_t n)
{
    struct retell_version *v = calloc(1, sizeof *v);

    if (!v)
        return NULL;
    v->n = n;
    v->body = pat_json_obj();
    copy_members(v->body, from);
    pat_json_set_int(v->body, "version", n);
    pat_json_set_bool(v->body, "is_published", false);
    pat_json_set_int(v->body, "last_modification_timestamp", pat_unix_ms());
    v->next = o->versions;
    o->versions = v;
    return v;
}

static struct retell_version *create(struct retell_object **list, const char *id_key,
                                     const char *prefix, const struct pat_json *body)
{
    struct retell_object *o = calloc(1, sizeof *o);
    struct retell_version *v;

    if (!o)
        return NULL;
    retell_new_id(o->id, prefix);
    o->next = *list;
    *list = o;
    v = add_version(o, body, 0);
    if (v)
        pat_json_set_str(v->body, id_key, o->id);
    return v;
}

static void drop(struct retell_object **list, struct retell_object *o)
{
    while (*list != o)
        list = &(*list)->next;
    *list = o->next;
    while (o->versions) {
        struct retell_version *v = o->versions;

        o->versions = v->next;
        pat_json_free(v->body);
        free(v);
    }
    free(o);
}

static void log_write(struct retell *rt, struct pat_httpd_req *r, const char *id,
                      const struct pat_json *body)
{
    struct pat_json *entry = dbl_obj("path", pat_httpd_path(r));

    pat_json_set_str(entry, "id", id);
    pat_json_set_int(entry, "version", asked(r));
    if (body)
        pat_json_set_take(entry, "body", pat_json_dup(body));
    dbl_log(rt->d, "wrote", entry);
}

/* NULL and replied. */
static struct retell_object *named(struct retell *rt, struct pat_httpd_req *r,
                                   struct retell_object *list)
{
    struct retell_object *o;

    if (!retell_admit(rt, r))
        return NULL;
    o = find(list, pat_httpd_param(r, "id"));
    if (!o)
        retell_error(r, 404, "Not Found");
    return o;
}

static struct retell_object *model_of(struct retell *rt, const struct pat_json *agent)
{
    return find(rt->llms, pat_json_str_or(agent, "response_engine.llm_id", ""));
}

/* ------------------------------------------------------------------ reading, changing, deleting */

static void get(struct retell *rt, struct pat_httpd_req *r, struct retell_object *list)
{
    const struct retell_object *o = named(rt, r, list);
    const struct retell_version *v;

    if (!o)
        return;
    v = version_of(o, asked(r));
    if (v)
        pat_httpd_reply_json(r, 200, v->body);
    else
        retell_error(r, 404, "Not Found");
}

static void update(struct retell *rt, struct pat_httpd_req *r, struct retell_object *list,
                   bool check(const struct pat_json *, char[160]))
{
    struct retell_object *o = named(rt, r, list);
    PAT_AUTO_JSON body = NULL;
    struct retell_version *v;
    const char *voice;
    char why[160];

    if (!o || !(body = retell_body(r)))
        return;
    v = version_of(o, asked(r));
    voice = pat_json_str_or(body, "voice_id", NULL);
    if (!v)
        retell_error(r, 404, "Not Found");
    else if (published(v))
        retell_error(r, 400, "Cannot update a published version, create a new version first");
    else if (!check(body, why))
        retell_error(r, 400, why);
    else if (voice && !rt->any_agent && !retell_voice_offered(rt, voice))
        retell_error(r, 404, "voice_id: no such voice");
    else {
        log_write(rt, r, o->id, body);
        copy_members(v->body, body);
        pat_json_set_int(v->body, "last_modification_timestamp", pat_unix_ms());
        pat_httpd_reply_json(r, 200, v->body);
    }
}

static void delete (struct retell *rt, struct pat_httpd_req *r, struct retell_object **list)
{
    struct retell_object *o = named(rt, r, *list);

    if (!o)
        return;
    log_write(rt, r, o->id, NULL);
    drop(list, o);
    pat_httpd_reply(r, 204, NULL, NULL, 0);
}

static void reply_page(struct pat_httpd_req *r, struct pat_json *items_take)
{
    struct pat_json *page = pat_json_obj();

    pat_json_set_take(page, "items", items_take);
    pat_json_set_bool(page, "has_more", false);
    dbl_reply(r, 200, page);
}

static struct pat_json *newest_of(const struct retell_object *list)
{
    struct pat_json *items = pat_json_arr();

    for (; list; list = list->next)
        pat_json_add_take(items, pat_json_dup(version_of(list, -1)->body));
    return items;
}

/* ------------------------------------------------------------------ agents */

static void on_create_agent(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    PAT_AUTO_JSON body = NULL;
    struct retell_version *v;
    const char *voice;
    char why[160];

    if (!retell_admit(rt, r) || !(body = retell_body(r)))
        return;
    voice = pat_json_str_or(body, "voice_id", NULL);
    if (!voice || !pat_json_str_or(body, "response_engine.type", NULL))
        retell_error(r, 400, "voice_id and response_engine are required");
    else if (!strcmp(pat_json_str_or(body, "response_engine.type", ""), "retell-llm") &&
             !model_of(rt, body))
        retell_error(r, 422, "response_engine.llm_id: no such Retell LLM");
    else if (!rt->any_agent && !retell_voice_offered(rt, voice))
        retell_error(r, 404, "voice_id: no such voice");
    else if (!retell_check_agent(body, why))
        retell_error(r, 400, why);
    else if (!(v = create(&rt->agents, "agent_id", "agent_", body)))
        retell_error(r, 500, "out of memory");
    else {
        log_write(rt, r, pat_json_str_or(v->body, "agent_id", ""), body);
        pat_httpd_reply_json(r, 201, v->body);
    }
}

static void on_get_agent(struct pat_httpd_req *r, void *arg)
{
    get(arg, r, ((struct retell *)arg)->agents);
}

static void on_update_agent(struct pat_httpd_req *r, void *arg)
{
    update(arg, r, ((struct retell *)arg)->agents, retell_check_agent);
}

static void on_delete_agent(struct pat_httpd_req *r, void *arg)
{
    delete (arg, r, &((struct retell *)arg)->agents);
}

static void publish(struct retell *rt, struct pat_httpd_req *r, struct retell_object *o, int64_t n)
{
    struct retell_version *v = version_of(o, n), *model;

    if (!v) {
        retell_error(r, 404, "no such version");
        return;
    }
    log_write(rt, r, o->id, NULL);
    pat_json_set_bool(v->body, "is_published", true);
    model = version_of(model_of(rt, v->body), v->n);
    if (model)
        pat_json_set_bool(model->body, "is_published", true);
    pat_httpd_reply(r, 200, NULL, NULL, 0);
}

static void on_publish_agent(struct pat_httpd_req *r, void *arg)
{
    struct retell_object *o = named(arg, r, ((struct retell *)arg)->agents);

    if (o)
        publish(arg, r, o, -1);
}

static void on_publish_version(struct pat_httpd_req *r, void *arg)
{
    struct retell_object *o = named(arg, r, ((struct retell *)arg)->agents);
    PAT_AUTO_JSON body = NULL;
    int64_t n;

    if (!o || !(body = retell_body(r)))
        return;
    if (pat_json_get_int(body, "version", &n, NULL) || n < 0)
        retell_error(r, 400, "version: must be a number from 0");
    else
        publish(arg, r, o, n);
}

static void open_draft(struct retell_object *o, const struct pat_json *base, int64_t base_n,
                       int64_t n)
{
    struct retell_version *v = add_version(o, base, n);

    if (v)
        pat_json_set_int(v->body, "base_version", base_n);
}

static void on_create_version(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct retell_object *o = named(rt, r, rt->agents), *model;
    const struct retell_version *base, *model_base;
    PAT_AUTO_JSON body = NULL;
    int64_t n;

    if (!o || !(body = retell_body(r)))
        return;
    base = version_of(o, pat_json_int_or(body, "base_version", -1));
    if (pat_json_get_int(body, "base_version", &n, NULL) || !base) {
        retell_error(r, base ? 400 : 404, "base_version: no such version");
        return;
    }
    log_write(rt, r, o->id, body);
    n = o->versions->n + 1;
    open_draft(o, base->body, base->n, n);
    model = model_of(rt, base->body);
    model_base = version_of(model, base->n);
    if (model && !model_base)
        model_base = version_of(model, -1);
    if (model_base)
        open_draft(model, model_base->body, base->n, n);
    pat_httpd_reply_json(r, 201, o->versions->body);
}

static void on_versions(struct pat_httpd_req *r, void *arg)
{
    const struct retell_object *o = named(arg, r, ((struct retell *)arg)->agents);
    struct pat_json *all;

    if (!o)
        return;
    all = pat_json_arr();
    for (const struct retell_version *v = o->versions; v; v = v->next)
        pat_json_add_take(all, pat_json_dup(v->body));
    dbl_reply(r, 200, all);
}

static void on_versions_v2(struct pat_httpd_req *r, void *arg)
{
    const struct retell_object *o = named(arg, r, ((struct retell *)arg)->agents);
    struct pat_json *all;

    if (!o)
        return;
    all = pat_json_arr();
    for (const struct retell_version *v = o->versions; v; v = v->next) {
        struct pat_json *item = pat_json_obj();

        pat_json_set_int(item, "version", v->n);
        pat_json_set_bool(item, "is_published", published(v));
        pat_json_set_int(item, "last_modification_timestamp",
                         pat_json_int_or(v->body, "last_modification_timestamp", 0));
        if (pat_json_at(v->body, "base_version"))
            pat_json_set_int(item, "base_version", pat_json_int_or(v->body, "base_version", 0));
        pat_json_add_take(all, item);
    }
    reply_page(r, all);
}

/* The second version of the list tells less than an agent's own answer, under other names. */
static struct pat_json *agent_item(const struct pat_json *agent)
{
    struct pat_json *item = dbl_obj("agent_id", pat_json_str_or(agent, "agent_id", ""));

    pat_json_set_str(item, "agent_name", pat_json_str_or(agent, "agent_name", ""));
    pat_json_set_str(item, "channel", "voice");
    pat_json_set_bool(item, "is_suspended", false);
    pat_json_set_take(item, "tags", pat_json_obj());
    pat_json_set_int(item, "user_modified_timestamp",
                     pat_json_int_or(agent, "last_modification_timestamp", 0));
    return item;
}

static void on_list_agents(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct pat_json *items;

    if (!retell_admit(rt, r))
        return;
    items = pat_json_arr();
    for (const struct retell_object *o = rt->agents; o; o = o->next)
        pat_json_add_take(items, agent_item(version_of(o, -1)->body));
    reply_page(r, items);
}

static void on_list_agents_v1(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;

    if (retell_admit(rt, r))
        dbl_reply(r, 200, newest_of(rt->agents));
}

/* ------------------------------------------------------------------ models */

static void on_create_llm(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    PAT_AUTO_JSON body = NULL;
    struct retell_version *v;
    char why[160];

    if (!retell_admit(rt, r) || !(body = retell_body(r)))
        return;
    if (!retell_check_llm(body, why))
        retell_error(r, 400, why);
    else if (!(v = create(&rt->llms, "llm_id", "llm_", body)))
        retell_error(r, 500, "out of memory");
    else {
        log_write(rt, r, pat_json_str_or(v->body, "llm_id", ""), body);
        pat_httpd_reply_json(r, 201, v->body);
    }
}

static void on_get_llm(struct pat_httpd_req *r, void *arg)
{
    get(arg, r, ((struct retell *)arg)->llms);
}

static void on_update_llm(struct pat_httpd_req *r, void *arg)
{
    update(arg, r, ((struct retell *)arg)->llms, retell_check_llm);
}

static void on_delete_llm(struct pat_httpd_req *r, void *arg)
{
    delete (arg, r, &((struct retell *)arg)->llms);
}

static void on_list_llms(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;

    if (retell_admit(rt, r))
        reply_page(r, newest_of(rt->llms));
}

int retell_agents_routes(struct retell *rt)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/create-agent", 0, on_create_agent },
        { "GET", "/get-agent/{id}", 0, on_get_agent },
        { "PATCH", "/update-agent/{id}", 0, on_update_agent },
        { "DELETE", "/delete-agent/{id}", 0, on_delete_agent },
        { "POST", "/publish-agent/{id}", 0, on_publish_agent },
        { "POST", "/publish-agent-version/{id}", 0, on_publish_version },
        { "POST", "/create-agent-version/{id}", 0, on_create_version },
        { "GET", "/get-agent-versions/{id}", 0, on_versions },
        { "GET", "/list-agent-versions/{id}", 0, on_versions_v2 },
        { "POST", "/v2/list-agents", 0, on_list_agents },
        { "GET", "/v2/list-agents", 0, on_list_agents },
        { "GET", "/list-agents", 0, on_list_agents_v1 },
        { "POST", "/create-retell-llm", 0, on_create_llm },
        { "GET", "/get-retell-llm/{id}", 0, on_get_llm },
        { "PATCH", "/update-retell-llm/{id}", 0, on_update_llm },
        { "DELETE", "/delete-retell-llm/{id}", 0, on_delete_llm },
        { "GET", "/v2/list-retell-llms", 0, on_list_llms },
        { 0 },
    };
    int err = pat_httpd_routes(rt->d->server, routes, rt);

    return err ? err : retell_voices_routes(rt);
}

void retell_agents_free(struct retell *rt)
{
    while (rt->agents)
        drop(&rt->agents, rt->agents);
    while (rt->llms)
        drop(&rt->llms, rt->llms);
}
