/* retell_agents.c - agents, models and voices of the Retell double, with the vendor's version rules
 * as far as a client sees them.
 *
 * One version line per object: creating makes version 0, a published version is frozen,
 * create-agent-version opens the next.
 */
#include "retell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *id, *name, *provider, *gender, *accent;
} voices[] = {
    { "11labs-Adrian", "Adrian", "elevenlabs", "male", "American" },
    { "11labs-Kate", "Kate", "elevenlabs", "female", "American" },
    { "11labs-Brian", "Brian", "elevenlabs", "male", "American" },
    { "11labs-Lily", "Lily", "elevenlabs", "female", "British" },
    { "11labs-Anna", "Anna", "elevenlabs", "female", "American" },
    { "openai-Alloy", "Alloy", "openai", "female", "American" },
    { "openai-Nova", "Nova", "openai", "female", "American" },
    { "openai-Onyx", "Onyx", "openai", "male", "American" },
};

static struct retell_object *find(struct retell_object *list, const char *id)
{
    for (; list; list = list->next)
        if (!strcmp(list->id, id))
            return list;
    return NULL;
}

const struct pat_json *retell_agent(const struct retell *rt, const char *id)
{
    const struct retell_object *o = find(rt->agents, id);

    return o ? o->body : NULL;
}

static bool has_text(const struct pat_json *j, const char *path)
{
    return pat_json_str_or(j, path, NULL) != NULL;
}

static void copy_members(struct pat_json *to, const struct pat_json *from)
{
    for (size_t i = 0; i < pat_json_size(from); i++) {
        const struct pat_json *v = pat_json_item(from, i);

        pat_json_set_take(to, pat_json_key(v), pat_json_dup(v));
    }
}

static struct pat_json *fresh(const struct pat_json *body, const char *id_key, const char *id,
                              int64_t version)
{
    struct pat_json *j = pat_json_obj();

    copy_members(j, body);
    pat_json_set_str(j, id_key, id);
    pat_json_set_int(j, "version", version);
    pat_json_set_bool(j, "is_published", false);
    pat_json_set_int(j, "last_modification_timestamp", pat_unix_ms());
    return j;
}

static void store(struct retell_object **list, const char *id, struct pat_json *body_take)
{
    struct retell_object *o = find(*list, id);

    if (!o) {
        o = calloc(1, sizeof *o);
        if (!o) {
            pat_json_free(body_take);
            return;
        }
        pat_strcpy(o->id, sizeof o->id, id);
        o->next = *list;
        *list = o;
    }
    pat_json_free(o->body);
    o->body = body_take;
}

static void drop(struct retell_object **list, struct retell_object *o)
{
    while (*list != o)
        list = &(*list)->next;
    *list = o->next;
    pat_json_free(o->body);
    free(o);
}

/* ------------------------------------------------------------------ agents */

static void on_create_agent(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    PAT_AUTO_JSON body = NULL;
    char id[RETELL_ID_MAX];

    if (!retell_admit(rt, r) || !(body = retell_body(r)))
        return;
    if (!has_text(body, "voice_id") || !has_text(body, "response_engine.type")) {
        retell_error(r, 400, "voice_id and response_engine are required");
        return;
    }
    if (!strcmp(pat_json_str_or(body, "response_engine.type", ""), "retell-llm") &&
        !find(rt->llms, pat_json_str_or(body, "response_engine.llm_id", ""))) {
        retell_error(r, 422, "response_engine.llm_id: no such Retell LLM");
        return;
    }
    retell_new_id(id, "agent_");
    store(&rt->agents, id, fresh(body, "agent_id", id, 0));
    pat_httpd_reply_json(r, 201, retell_agent(rt, id));
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

static void on_get_agent(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct retell_object *o = named(rt, r, rt->agents);

    if (o)
        pat_httpd_reply_json(r, 200, o->body);
}

static void update(struct pat_httpd_req *r, struct retell_object *o)
{
    PAT_AUTO_JSON body = retell_body(r);

    if (!body)
        return;
    if (pat_json_bool_or(o->body, "is_published", false)) {
        retell_error(r, 400, "Cannot update a published version, create a new version first");
        return;
    }
    copy_members(o->body, body);
    pat_json_set_int(o->body, "last_modification_timestamp", pat_unix_ms());
    pat_httpd_reply_json(r, 200, o->body);
}

static void on_update_agent(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct retell_object *o = named(rt, r, rt->agents);

    if (o)
        update(r, o);
}

static void on_delete_agent(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct retell_object *o = named(rt, r, rt->agents);

    if (!o)
        return;
    drop(&rt->agents, o);
    pat_httpd_reply(r, 204, NULL, NULL, 0);
}

static void on_publish_agent(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct retell_object *o = named(rt, r, rt->agents);

    if (!o)
        return;
    pat_json_set_bool(o->body, "is_published", true);
    pat_httpd_reply(r, 200, NULL, NULL, 0);
}

static void on_agent_version(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct retell_object *o = named(rt, r, rt->agents);
    int64_t base;

    if (!o)
        return;
    base = pat_json_int_or(o->body, "version", 0);
    pat_json_set_int(o->body, "base_version", base);
    pat_json_set_int(o->body, "version", base + 1);
    pat_json_set_bool(o->body, "is_published", false);
    pat_httpd_reply_json(r, 201, o->body);
}

static struct pat_json *listed(const struct retell_object *list)
{
    struct pat_json *items = pat_json_arr();

    for (; list; list = list->next)
        pat_json_add_take(items, pat_json_dup(list->body));
    return items;
}

static void reply_page(struct pat_httpd_req *r, struct pat_json *items_take)
{
    struct pat_json *page = pat_json_obj();

    pat_json_set_take(page, "items", items_take);
    pat_json_set_bool(page, "has_more", false);
    dbl_reply(r, 200, page);
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
        pat_json_add_take(items, agent_item(o->body));
    reply_page(r, items);
}

static void on_list_agents_v1(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;

    if (retell_admit(rt, r))
        dbl_reply(r, 200, listed(rt->agents));
}

/* ------------------------------------------------------------------ models */

static void on_create_llm(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    PAT_AUTO_JSON body = NULL;
    char id[RETELL_ID_MAX];

    if (!retell_admit(rt, r) || !(body = retell_body(r)))
        return;
    if (!strncmp(pat_json_str_or(body, "model", ""), "gpt-4o", 6)) {
        retell_error(r, 400, "model: not one of the models offered");
        return;
    }
    retell_new_id(id, "llm_");
    store(&rt->llms, id, fresh(body, "llm_id", id, 0));
    pat_httpd_reply_json(r, 201, find(rt->llms, id)->body);
}

static void on_get_llm(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct retell_object *o = named(rt, r, rt->llms);

    if (o)
        pat_httpd_reply_json(r, 200, o->body);
}

static void on_update_llm(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct retell_object *o = named(rt, r, rt->llms);

    if (o)
        update(r, o);
}

static void on_delete_llm(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    struct retell_object *o = named(rt, r, rt->llms);

    if (!o)
        return;
    drop(&rt->llms, o);
    pat_httpd_reply(r, 204, NULL, NULL, 0);
}

static void on_list_llms(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;

    if (retell_admit(rt, r))
        reply_page(r, listed(rt->llms));
}

/* ------------------------------------------------------------------ voices */

static struct pat_json *voice_json(size_t i)
{
    struct pat_json *v = dbl_obj("voice_id", voices[i].id);

    pat_json_set_str(v, "voice_name", voices[i].name);
    pat_json_set_str(v, "provider", voices[i].provider);
    pat_json_set_str(v, "gender", voices[i].gender);
    pat_json_set_str(v, "accent", voices[i].accent);
    return v;
}

static void on_list_voices(struct pat_httpd_req *r, void *arg)
{
    struct pat_json *list;

    if (!retell_admit(arg, r))
        return;
    list = pat_json_arr();
    for (size_t i = 0; i < sizeof voices / sizeof voices[0]; i++)
        pat_json_add_take(list, voice_json(i));
    dbl_reply(r, 200, list);
}

static void on_get_voice(struct pat_httpd_req *r, void *arg)
{
    if (!retell_admit(arg, r))
        return;
    for (size_t i = 0; i < sizeof voices / sizeof voices[0]; i++)
        if (!strcmp(voices[i].id, pat_httpd_param(r, "id"))) {
            dbl_reply(r, 200, voice_json(i));
            return;
        }
    retell_error(r, 404, "Not Found");
}

static void on_concurrency(struct pat_httpd_req *r, void *arg)
{
    struct pat_json *j;

    if (!retell_admit(arg, r))
        return;
    j = pat_json_obj();
    pat_json_set_int(j, "current_concurrency", 0);
    pat_json_set_int(j, "concurrency_limit", 20);
    pat_json_set_int(j, "base_concurrency", 20);
    pat_json_set_int(j, "purchased_concurrency", 0);
    pat_json_set_int(j, "concurrency_purchase_limit", 100);
    pat_json_set_int(j, "remaining_purchase_limit", 100);
    dbl_reply(r, 200, j);
}

int retell_agents_routes(struct retell *rt)
{
    static const struct {
        const char *method, *path;
        pat_httpd_fn *fn;
    } table[] = {
        { "POST", "/create-agent", on_create_agent },
        { "GET", "/get-agent/{id}", on_get_agent },
        { "PATCH", "/update-agent/{id}", on_update_agent },
        { "DELETE", "/delete-agent/{id}", on_delete_agent },
        { "POST", "/publish-agent/{id}", on_publish_agent },
        { "POST", "/publish-agent-version/{id}", on_publish_agent },
        { "POST", "/create-agent-version/{id}", on_agent_version },
        { "POST", "/v2/list-agents", on_list_agents },
        { "GET", "/v2/list-agents", on_list_agents },
        { "GET", "/list-agents", on_list_agents_v1 },
        { "POST", "/create-retell-llm", on_create_llm },
        { "GET", "/get-retell-llm/{id}", on_get_llm },
        { "PATCH", "/update-retell-llm/{id}", on_update_llm },
        { "DELETE", "/delete-retell-llm/{id}", on_delete_llm },
        { "GET", "/v2/list-retell-llms", on_list_llms },
        { "GET", "/list-voices", on_list_voices },
        { "GET", "/get-voice/{id}", on_get_voice },
        { "GET", "/get-concurrency", on_concurrency },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int err =
            pat_httpd_route(rt->d->server, table[i].method, table[i].path, 0, table[i].fn, rt);

        if (err)
            return err;
    }
    return PAT_OK;
}

void retell_agents_free(struct retell *rt)
{
    while (rt->agents)
        drop(&rt->agents, rt->agents);
    while (rt->llms)
        drop(&rt->llms, rt->llms);
}
