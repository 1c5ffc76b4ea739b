/* elevenlabs_voices.c - which voices the double has, and how each sounds.
 *
 * How: the vendor's public voices in a table with their sex, clones in a list; the id's hash moves
 * the pitch, so that no two sound the same. A clone is the voice of flite's that is nearest to its
 * sample's pitch, moved to it; the sample itself is not kept. */
#include "elevenlabs.h"

#include "pitch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *id, *name, *flite;
} premade[] = {
    { "EXAVITQu4vr4xnSDxMaL", "Sarah", "slt" },   { "MF3mGyEYCl7XYWbV9V6O", "Elli", "slt" },
    { "TxGEqnHWrfWFTfGW9XjX", "Josh", "rms" },    { "pFZP5JQG7iQjIQuC4Bku", "Lily", "slt" },
    { "nPczCjzI2devNBz1zQrb", "Brian", "rms" },   { "onwK4e9ZLuTAKqWW03F9", "Daniel", "awb" },
    { "cjVigY5qzO86Huf0OWal", "Eric", "rms" },    { "cgSgspJ2msm6clMCkdW9", "Jessica", "slt" },
    { "XrExE9yKIg1WjnnlVkGX", "Matilda", "slt" }, { "CwhRBWXzGAHq8TQ4Fs17", "Roger", "rms" },
    { "FGY2WhTYpPnrIDTdsKH5", "Laura", "slt" },   { "IKne3meq5aSn9XLyUdCD", "Charlie", "awb" },
    { "JBFqnCBsd6RMkjVDRZzb", "George", "awb" },  { "N2lVS1w4EtoT3dr4eOWO", "Callum", "awb" },
    { "SAz9YHcvj6GT2YYXdXww", "River", "slt" },   { "SOYHLrjzK2X1ezoPC6cr", "Harry", "rms" },
    { "TX3LPaxmHKxFdv7VOQHJ", "Liam", "rms" },    { "Xb7hH8MSUJpSbSDYk0k2", "Alice", "slt" },
    { "bIHbv24MWmeRgasZH58o", "Will", "rms" },    { "hpp4J3VqNfWAUOO0d1Us", "Bella", "slt" },
    { "iP95p4xoKVk53GoZ742B", "Chris", "rms" },   { "pNInz6obpgDQGcFmaJgB", "Adam", "rms" },
    { "pqHfZKP75CvOlQylNhV4", "Bill", "kal16" },
};
enum { N_PREMADE = sizeof premade / sizeof premade[0] };

static uint32_t hash(const char *s)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * 16777619u;
    return h;
}

static bool is_in(const struct pat_json *ids, const char *id)
{
    for (size_t i = 0; ids && i < pat_json_size(ids); i++) {
        const char *s = pat_json_value_str(pat_json_item(ids, i));

        if (s && !strcmp(s, id))
            return true;
    }
    return false;
}

static struct eleven_clone *clone_of(const struct elevenlabs *e, const char *id)
{
    for (struct eleven_clone *c = e->clones; c; c = c->next)
        if (!strcmp(c->id, id))
            return c;
    return NULL;
}

/* As high as its sample. What flite's voices are on the average was measured by pitch.c. */
static void sound_like(double hz, struct synth_voice *out)
{
    static const struct {
        const char *flite;
        double hz;
    } voices[] = { { "slt", 174 }, { "rms", 92 }, { "awb", 127 } };
    size_t best = 0;
    double by;

    for (size_t i = 1; i < sizeof voices / sizeof voices[0]; i++)
        if (fabs(log(hz / voices[i].hz)) < fabs(log(hz / voices[best].hz)))
            best = i;
    by = hz / voices[best].hz;
    *out = (struct synth_voice){ voices[best].flite, by < 0.6 ? 0.6 : by > 1.7 ? 1.7 : by, 1 };
}

bool eleven_voice(const struct elevenlabs *e, const char *id, struct synth_voice *out)
{
    const struct eleven_clone *c = clone_of(e, id);
    static const char *const flites[] = { "slt", "rms", "awb" };
    uint32_t h = hash(id);

    if (is_in(e->gone, id))
        return false;
    for (size_t i = 0; i < N_PREMADE; i++) {
        if (strcmp(premade[i].id, id) != 0)
            continue;
        *out = (struct synth_voice){ premade[i].flite, 0.94 + (h % 13) * 0.01, 1 };
        return true;
    }
    if (!c && !is_in(e->extra, id))
        return false;
    if (c && c->pitch > 0) {
        sound_like(c->pitch, out);
        return true;
    }
    /* Well outside the band of the premade ones: another speaker. */
    *out = (struct synth_voice){ flites[h % 3],
                                 h & 4 ? 1.22 + (h % 7) * 0.01 : 0.80 - (h % 7) * 0.01, 1 };
    return true;
}

static struct pat_json *voice_json(const char *id, const char *name, const char *category)
{
    struct pat_json *j = dbl_obj("voice_id", id), *settings = pat_json_obj();

    pat_json_set_str(j, "name", name);
    pat_json_set_str(j, "category", category);
    pat_json_set_take(j, "labels", pat_json_obj());
    pat_json_set_take(j, "samples", pat_json_arr());
    pat_json_set_take(j, "high_quality_base_model_ids", pat_json_arr());
    pat_json_set_take(j, "available_for_tiers", pat_json_arr());
    pat_json_set_num(settings, "stability", 0.5);
    pat_json_set_num(settings, "similarity_boost", 0.75);
    pat_json_set_num(settings, "style", 0);
    pat_json_set_bool(settings, "use_speaker_boost", true);
    pat_json_set_num(settings, "speed", 1);
    pat_json_set_take(j, "settings", settings);
    return j;
}

static struct pat_json *clone_json(const struct eleven_clone *c)
{
    struct pat_json *j = voice_json(c->id, c->name, c->library ? "professional" : "cloned");

    pat_json_set_str(j, "description", c->description);
    pat_json_set_bool(j, "is_owner", !c->library);
    return j;
}

static struct pat_json *all_voices(const struct elevenlabs *e)
{
    struct pat_json *list = pat_json_arr();

    for (size_t i = 0; i < N_PREMADE; i++)
        if (!is_in(e->gone, premade[i].id))
            pat_json_add_take(list, voice_json(premade[i].id, premade[i].name, "premade"));
    for (const struct eleven_clone *c = e->clones; c; c = c->next)
        if (!is_in(e->gone, c->id))
            pat_json_add_take(list, clone_json(c));
    return list;
}

static void on_list_v1(struct pat_httpd_req *r, void *arg)
{
    struct elevenlabs *e = arg;
    struct pat_json *out;

    if (eleven_refuse(e, r))
        return;
    out = pat_json_obj();
    pat_json_set_take(out, "voices", all_voices(e));
    dbl_reply(r, 200, out);
}

static size_t size_param(struct pat_httpd_req *r, const char *name, size_t fallback)
{
    const char *s = pat_httpd_query_param(r, name);

    return s ? (size_t)strtoul(s, NULL, 10) : fallback;
}

/* search looks into names and descriptions. */
static struct pat_json *wanted_voices(const struct elevenlabs *e, struct pat_httpd_req *r)
{
    PAT_AUTO_JSON all = all_voices(e);
    struct pat_json *some = pat_json_arr();
    const char *search = pat_httpd_query_param(r, "search");
    const char *category = pat_httpd_query_param(r, "category");

    PAT_JSON_EACH(v, all)
    {
        if ((!search || strcasestr(pat_json_str_or(v, "name", ""), search) ||
             strcasestr(pat_json_str_or(v, "description", ""), search)) &&
            (!category || !strcmp(category, pat_json_str_or(v, "category", ""))))
            pat_json_add_take(some, pat_json_dup(v));
    }
    return some;
}

/* The page token is the place of the first voice not shown yet. */
static void on_list_v2(struct pat_httpd_req *r, void *arg)
{
    struct elevenlabs *e = arg;
    PAT_AUTO_JSON all = NULL;
    struct pat_json *out, *page;
    size_t from, size, n;
    char token[32];

    if (eleven_refuse(e, r))
        return;
    all = wanted_voices(e, r);
    from = size_param(r, "next_page_token", 0);
    size = size_param(r, "page_size", 10);
    if (!size || size > 100) {
        eleven_error(r, 422, "invalid_parameters", "page_size must be 1..100", "page_size");
        return;
    }
    n = pat_json_size(all);
    page = pat_json_arr();
    for (size_t i = from; i < n && i < from + size; i++)
        pat_json_add_take(page, pat_json_dup(pat_json_item(all, i)));
    snprintf(token, sizeof token, "%zu", from + size);
    out = pat_json_obj();
    pat_json_set_take(out, "voices", page);
    pat_json_set_bool(out, "has_more", from + size < n);
    pat_json_set_int(out, "total_count", (int64_t)n);
    pat_json_set_str(out, "next_page_token", from + size < n ? token : NULL);
    dbl_reply(r, 200, out);
}

static void not_found(struct pat_httpd_req *r)
{
    eleven_error(r, 404, "voice_not_found", "A voice with the requested id was not found.",
                 "voice_id");
}

static void on_get(struct pat_httpd_req *r, void *arg)
{
    struct elevenlabs *e = arg;
    const char *id = pat_httpd_param(r, "id");
    const struct eleven_clone *c = clone_of(e, id);
    struct synth_voice v;

    if (eleven_refuse(e, r))
        return;
    if (!eleven_voice(e, id, &v)) {
        not_found(r);
        return;
    }
    for (size_t i = 0; i < N_PREMADE; i++)
        if (!strcmp(premade[i].id, id)) {
            dbl_reply(r, 200, voice_json(id, premade[i].name, "premade"));
            return;
        }
    dbl_reply(r, 200, c ? clone_json(c) : voice_json(id, "Extra", "cloned"));
}

static void on_delete(struct pat_httpd_req *r, void *arg)
{
    struct elevenlabs *e = arg;
    struct eleven_clone *c = clone_of(e, pat_httpd_param(r, "id")), **at = &e->clones;

    if (eleven_refuse(e, r))
        return;
    if (!c) {
        not_found(r);
        return;
    }
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    e->n_clones--;
    dbl_log(e->d, "voice_deleted", dbl_obj("voice_id", c->id));
    free(c);
    dbl_reply(r, 200, dbl_obj("status", "ok"));
}

/* The value of one multipart field, found by its name; n counts the parts of that name. */
static int part_value(const char *body, size_t len, const char *field, char *out, size_t cap)
{
    char mark[64];
    size_t mark_len = (size_t)snprintf(mark, sizeof mark, "name=\"%s\"", field);
    const char *p = body, *end = body + len;
    int n = 0;

    *out = '\0';
    while ((p = memmem(p, (size_t)(end - p), mark, mark_len))) {
        const char *value = memmem(p, (size_t)(end - p), "\r\n\r\n", 4), *stop;

        n++;
        p += mark_len;
        if (!value)
            break;
        value += 4;
        stop = memmem(value, (size_t)(end - value), "\r\n--", 4);
        if (stop && (size_t)(stop - value) < cap) {
            memcpy(out, value, (size_t)(stop - value));
            out[stop - value] = '\0';
        }
    }
    return n;
}

static void clone_id(struct elevenlabs *e, const char *name, char out[32])
{
    static const char digits[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
    uint32_t h = hash(name) ^ (e->seed++ * 2654435761u);

    for (int i = 0; i < 20; i++) {
        h = h * 1664525u + 1013904223u;
        out[i] = digits[(h >> 16) % (sizeof digits - 1)];
    }
    out[20] = '\0';
}

/* The body of the first file. */
static double sample_pitch(const char *body, size_t len)
{
    const char *p = memmem(body, len, "name=\"files\"", strlen("name=\"files\""));
    const char *value = p ? memmem(p, len - (size_t)(p - body), "\r\n\r\n", 4) : NULL;

    return value ? pitch_of_wav(value + 4, len - (size_t)(value + 4 - body)) : 0;
}

static void reply_clone(struct elevenlabs *e, struct pat_httpd_req *r, const char *name,
                        const char *description, int files)
{
    size_t len;
    const char *body = pat_httpd_body(r, &len);
    struct eleven_clone *c = calloc(1, sizeof *c);
    struct pat_json *out, *entry;

    if (!c) {
        pat_httpd_abort(r);
        return;
    }
    clone_id(e, name, c->id);
    pat_strcpy(c->name, sizeof c->name, name);
    pat_strcpy(c->description, sizeof c->description, description);
    c->pitch = sample_pitch(body, len);
    c->next = e->clones;
    e->clones = c;
    e->n_clones++;
    entry = dbl_obj("voice_id", c->id);
    pat_json_set_str(entry, "name", name);
    pat_json_set_str(entry, "description", description);
    pat_json_set_int(entry, "files", files);
    pat_json_set_num(entry, "pitch", c->pitch);
    dbl_log(e->d, "voice_cloned", entry);
    out = dbl_obj("voice_id", c->id);
    pat_json_set_bool(out, "requires_verification", e->requires_verification);
    dbl_reply(r, 200, out);
}

static void on_add(struct pat_httpd_req *r, void *arg)
{
    struct elevenlabs *e = arg;
    char name[100], description[500], file[8], message[120];
    size_t len;
    const char *body = pat_httpd_body(r, &len);
    int files;

    if (eleven_refuse(e, r))
        return;
    files = part_value(body, len, "files", file, sizeof file);
    if (!part_value(body, len, "name", name, sizeof name) || !*name) {
        eleven_error(r, 422, "invalid_parameters", "field required", "name");
    } else if (!files) {
        eleven_error(r, 400, "invalid_parameters", "at least one sample is needed", "files");
    } else if (e->n_clones >= e->voice_limit) {
        snprintf(message, sizeof message,
                 "You have reached your maximum amount of custom voices "
                 "(%d / %d).",
                 e->n_clones, e->voice_limit);
        eleven_error(r, 400, "voice_limit_reached", message, NULL);
    } else {
        (void)part_value(body, len, "description", description, sizeof description);
        reply_clone(e, r, name, description, files);
    }
}

/* A voice of the library, under its own id. */
static void on_take(struct pat_httpd_req *r, void *arg)
{
    struct elevenlabs *e = arg;
    const char *id = pat_httpd_param(r, "id");
    PAT_AUTO_JSON body = NULL;
    struct eleven_clone *c;
    const char *text;
    size_t len;

    if (eleven_refuse(e, r))
        return;
    text = pat_httpd_body(r, &len);
    c = calloc(1, sizeof *c);
    if (!c || pat_json_parse(&body, text, len, NULL) || !pat_strcpy(c->id, sizeof c->id, id)) {
        free(c);
        eleven_error(r, 422, "invalid_parameters", "new_name, and an id of the library",
                     "new_name");
        return;
    }
    pat_strcpy(c->name, sizeof c->name, pat_json_str_or(body, "new_name", ""));
    c->library = true;
    c->next = e->clones;
    e->clones = c;
    e->n_clones++;
    dbl_log(e->d, "voice_taken", dbl_obj("voice_id", id));
    dbl_reply(r, 200, dbl_obj("voice_id", id));
}

static void on_edit(struct pat_httpd_req *r, void *arg)
{
    struct elevenlabs *e = arg;
    struct eleven_clone *c = clone_of(e, pat_httpd_param(r, "id"));
    struct pat_json *entry;
    char name[100];
    size_t len;
    const char *body = pat_httpd_body(r, &len);

    if (eleven_refuse(e, r))
        return;
    if (!c || is_in(e->gone, c->id)) {
        not_found(r);
    } else if (!part_value(body, len, "name", name, sizeof name) || !*name) {
        eleven_error(r, 422, "invalid_parameters", "field required", "name");
    } else {
        pat_strcpy(c->name, sizeof c->name, name);
        entry = dbl_obj("voice_id", c->id);
        pat_json_set_str(entry, "name", name);
        dbl_log(e->d, "voice_edited", entry);
        dbl_reply(r, 200, dbl_obj("status", "ok"));
    }
}

int eleven_voice_routes(struct elevenlabs *e)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/v1/voices", 0, on_list_v1 },
        { "GET", "/v2/voices", 0, on_list_v2 },
        { "POST", "/v1/voices/add", (size_t)16 << 20, on_add },
        { "POST", "/v1/voices/add/{owner}/{id}", (size_t)1 << 16, on_take },
        { "POST", "/v1/voices/{id}/edit", (size_t)16 << 20, on_edit },
        { "GET", "/v1/voices/{id}", 0, on_get },
        { "DELETE", "/v1/voices/{id}", 0, on_delete },
        { 0 },
    };

    return pat_httpd_routes(e->d->server, routes, e);
}

void eleven_clones_free(struct elevenlabs *e)
{
    while (e->clones) {
        struct eleven_clone *c = e->clones;

        e->clones = c->next;
        free(c);
    }
    e->n_clones = 0;
}
