/* context.c - reads a call's context out of JSON, leniently where the field is optional.
 *
 * Only the ids are required: a call with odd settings is still answered, with the defaults.
 */
#include "context.h"

#include "settings.h"

#include <stdlib.h>
#include <string.h>

enum { PROMPT_MAX = 64 * 1024, LANGUAGE_MAX = 35 /* RFC 5646, 4.4.1 */ };

/* Cut between characters: a vendor refuses a request with half a one in it. */
static char *dup_or(const struct pat_json *j, const char *path, const char *fallback)
{
    const char *s = pat_json_str_or(j, path, fallback);
    size_t len = strnlen(s, PROMPT_MAX + 1);

    if (len > PROMPT_MAX)
        for (len = PROMPT_MAX; len && ((unsigned char)s[len] & 0xC0) == 0x80;)
            len--;
    return strndup(s, len);
}

/* What no vendor could take for a language is none: it goes into addresses as it is. */
static char *dup_language(const struct pat_json *s)
{
    const char *l = pat_json_str_or(s, "language", "en-US");
    size_t len = strspn(l, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

    return strdup(len < 2 || len > LANGUAGE_MAX || l[len] ? "en-US" : l);
}

static int need_id(const struct pat_json *j, const char *path, char out[PAT_ID_LEN + 1],
                   struct pat_json_err *err)
{
    const char *s;
    int rc = pat_json_get_id(j, path, &s, err);

    if (!rc)
        pat_strcpy(out, PAT_ID_LEN + 1, s);
    return rc;
}

static char *fill_name(const char *template, const char *name)
{
    struct pat_buf b;

    pat_buf_init(&b, PROMPT_MAX);
    pat_agentcfg_greeting(template, name, &b);
    return pat_buf_take(&b);
}

static double within(double v, double lo, double hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

static void read_keyterms(struct context *c, const struct pat_json *list)
{
    size_t kept = 0;

    for (size_t i = 0; list && i < pat_json_size(list) && kept < CONTEXT_KEYTERMS; i++) {
        const char *s = pat_json_value_str(pat_json_item(list, i));
        if (s && *s && strlen(s) <= 100)
            c->keyterms[kept++] = strdup(s);
    }
}

/* Vendors refuse a request with a figure out of its range, and the caller would pay for it with
 * another voice or silence. Negative: not set. */
static double wish(const struct pat_json *j, const char *path, double lo, double hi)
{
    double v = pat_json_num_or(j, path, -1);

    return v < 0 ? -1 : within(v, lo, hi);
}

static void read_voice(struct context *c, const struct pat_json *v)
{
    c->stability = wish(v, "stability", 0, 1);
    c->similarity = wish(v, "similarity_boost", 0, 1);
    c->style = wish(v, "style", 0, 1);
    c->speed = wish(v, "voice_speed", 0.7, 1.2);
    c->speaker_boost = -1;
    if (v && pat_json_at(v, "use_speaker_boost"))
        c->speaker_boost = pat_json_bool_or(v, "use_speaker_boost", true);
    c->responsiveness = within(pat_json_num_or(v, "responsiveness", 0.9), 0, 1);
    c->interruption_sensitivity = within(pat_json_num_or(v, "interruption_sensitivity", 0.8), 0, 1);
    read_keyterms(c, v ? pat_json_at(v, "boosted_keywords") : NULL);
}

static int read_tools(struct context *c, const struct pat_json *s)
{
    static const char *const names[] = { "transfer_numbers", "transfer_preferences", "functions",
                                         "extra", "user_tools" };

    c->tool_settings = pat_json_obj();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (pat_json_at(s, names[i]))
            pat_json_set_take(c->tool_settings, names[i], pat_json_dup(pat_json_at(s, names[i])));
    return c->tool_settings ? PAT_OK : PAT_ENOMEM;
}

/* The agent's own setting, else ours beside the stack's, else the user's; a user's no counts. */
static bool wants_recording(const struct pat_json *s)
{
    bool user = pat_json_bool_or(s, "record_calls", false);
    bool own = pat_json_bool_or(s, "extra.recording_enabled",
                                pat_json_bool_or(s, "stack_config.livekit.record", user));

    return own && pat_json_bool_or(s, "record_calls", true);
}

static int read_settings(struct context *c, const struct pat_json *s)
{
    const char *template = pat_json_str_or(s, "greeting_template", NULL);
    const char *model = pat_json_str_or(s, "stack_config.livekit.model", NULL);
    int rc;

    c->user_name = dup_or(s, "user_name", "");
    c->agent_name = dup_or(s, "agent_name", "");
    c->language = dup_language(s);
    c->system_prompt = dup_or(s, "system_prompt", "");
    c->voice_refused = pat_json_bool_or(s, "voice.refused", false);
    c->voice_id = c->voice_refused ? strdup("") : dup_or(s, "voice_id", "");
    c->response_style = dup_or(s, "response_style", "");
    if (!c->user_name || !c->agent_name || !c->language || !c->system_prompt || !c->voice_id ||
        !c->response_style)
        return PAT_ENOMEM;
    c->greeting = fill_name(template ? template : pat_json_str_or(s, "greeting", ""), c->user_name);
    if (!c->greeting || (model && !(c->model = strdup(model))))
        return PAT_ENOMEM;
    pat_strcpy(c->turn_detection, sizeof c->turn_detection,
               pat_json_str_or(s, "stack_config.livekit.turn_detection", ""));
    c->temperature = wish(s, "temperature", 0, 2);
    c->max_tokens = (int)within((double)pat_json_int_or(s, "max_tokens", 0), 0, 4000);
    read_voice(c, pat_json_at(s, "voice"));
    c->record = wants_recording(s);
    c->max_call_cents =
        (int64_t)within(pat_json_num_or(s, "stack_config.livekit.max_call_cents", 0), 0, 1e6);
    rc = settings_read(c, s);
    return rc ? rc : read_tools(c, s);
}

static int read_all(struct context *c, const struct pat_json *params, struct pat_json_err *err)
{
    const struct pat_json *settings = pat_json_at(params, "settings");
    const char *from = pat_json_str_or(params, "from", NULL);
    const char *to = pat_json_str_or(params, "to", NULL);
    struct pat_json *none = NULL;
    int rc;

    if ((rc = need_id(params, "call_id", c->call_id, err)) ||
        (rc = need_id(params, "user_id", c->user_id, err)) ||
        (rc = need_id(params, "agent_config_id", c->agent_config_id, err)))
        return rc;
    c->config_version = pat_json_int_or(params, "config_version", 0);
    c->max_call_ms = (int64_t)within((double)pat_json_int_or(params, "max_call_ms", 0), 0, 1e9);
    c->web = strcmp(pat_json_str_or(params, "channel", "phone"), "web") == 0;
    if ((from && !(c->from = strdup(from))) || (to && !(c->to = strdup(to))))
        return PAT_ENOMEM;
    if (!settings || pat_json_kind(settings) != PAT_JSON_OBJ)
        settings = none = pat_json_obj();
    rc = settings ? read_settings(c, settings) : PAT_ENOMEM;
    pat_json_free(none);
    return rc;
}

int context_parse(struct context **out, const struct pat_json *params, struct pat_json_err *err)
{
    struct context *c = calloc(1, sizeof *c);
    int rc;

    if (!c)
        return PAT_ENOMEM;
    rc = read_all(c, params, err);
    if (!rc && !(c->params = pat_json_print(params)))
        rc = PAT_ENOMEM;
    if (rc) {
        context_free(c);
        return rc;
    }
    *out = c;
    return PAT_OK;
}

int context_announce(struct context *c, const char *notice)
{
    struct pat_buf b;
    char *both;

    if (c->announced || !*notice)
        return PAT_OK;
    pat_buf_init(&b, PROMPT_MAX);
    pat_buf_addf(&b, "%s%s%s", notice, *c->greeting ? " " : "", c->greeting);
    both = pat_buf_take(&b);
    if (!both)
        return PAT_ENOMEM;
    free(c->greeting);
    c->greeting = both;
    c->announced = true;
    return PAT_OK;
}

void context_free(struct context *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < CONTEXT_KEYTERMS; i++)
        free(c->keyterms[i]);
    pat_json_free(c->tool_settings);
    free(c->unsupported);
    free(c->vetting);
    free(c->noise);
    free(c->ambient_sound);
    free(c->params);
    free(c->model);
    free(c->response_style);
    free(c->voice_id);
    free(c->greeting);
    free(c->system_prompt);
    free(c->language);
    free(c->agent_name);
    free(c->user_name);
    free(c->to);
    free(c->from);
    free(c);
}

struct voice context_voice(const struct context *c)
{
    struct voice v = voice_resolve(c->voice_id);

    if (c->stability >= 0)
        v.stability = c->stability;
    if (c->similarity >= 0)
        v.similarity = c->similarity;
    if (c->style >= 0)
        v.style = c->style;
    if (c->speed >= 0)
        v.speed = c->speed;
    if (c->speaker_boost >= 0)
        v.speaker_boost = c->speaker_boost;
    return v;
}

bool context_headers_take(struct context_headers *h, const char *name, const char *value)
{
    const struct {
        const char *name;
        char *to;
        size_t cap;
    } known[] = {
        { "sip.h.x-pat-call", h->call, sizeof h->call },
        { "sip.h.x-pat-user", h->user, sizeof h->user },
        { "sip.h.x-pat-agent", h->agent, sizeof h->agent },
        { "sip.h.x-pat-version", h->version, sizeof h->version },
        { "sip.h.x-pat-sig", h->sig, sizeof h->sig },
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i].name) == 0 && !pat_strcpy(known[i].to, known[i].cap, value))
            known[i].to[0] = 0; /* longer than any of ours: not ours */
    return h->call[0] && h->user[0] && h->agent[0] && h->version[0] && h->sig[0];
}

int context_headers_verify(const struct context_headers *h, const char *call_id, const char *secret)
{
    struct pat_buf text;
    int err;

    if (!*secret || strcmp(h->call, call_id) != 0 || !pat_id_valid(h->user) ||
        !pat_id_valid(h->agent))
        return PAT_EAUTH;
    pat_buf_init(&text, 512);
    err = pat_buf_addf(&text, "%s|%s|%s|%s", h->call, h->user, h->agent, h->version);
    if (!err)
        err = pat_sign_short_verify(h->sig, secret, "sip", text.data);
    pat_buf_fini(&text);
    return err;
}

struct pat_json *context_params(const struct context_headers *h, struct pat_json *settings_take)
{
    struct pat_json *p = pat_json_obj();

    pat_json_set_str(p, "call_id", h->call);
    pat_json_set_str(p, "user_id", h->user);
    pat_json_set_str(p, "agent_config_id", h->agent);
    pat_json_set_int(p, "config_version", strtoll(h->version, NULL, 10));
    pat_json_set_take(p, "settings", settings_take);
    return p;
}

const char *context_call_of_room(const char *room)
{
    static const char prefix[] = "call_";

    if (strncmp(room, prefix, sizeof prefix - 1) != 0 || !pat_id_valid(room + sizeof prefix - 1))
        return NULL;
    return room + sizeof prefix - 1;
}
