/* recordings.c - see recordings.h. A piece is asked of the store when the one before it is nearly
 * read; who stops reading for long is let go and asks again for what is left.
 */
#include "recordings_int.h"

#include "ask.h"
#include "door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 256 << 10,
    UNSENT_MAX = 256 << 10, /* then the reader comes first */
    LISTENERS_MAX = 128,
    LOOK_MS = 50,      /* has he read on? */
    STUCK_MS = 120000, /* he has not, for so long */
    DB_MS = 5000,
};

struct listener {
    struct recordings *r;
    struct pat_httpd_req *http;
    struct listener *next, **prev;
    struct sound sound;
    struct range range;
    uint64_t at, to; /* the next byte, the last one */
    bool begun, asking;
    int64_t moved_ms;
    struct pat_timer look;
};

static void piece(struct listener *l);

/* ------------------------------------------------------------------ leaving */

static void let_go(struct listener *l)
{
    *l->prev = l->next;
    if (l->next)
        l->next->prev = l->prev;
    l->r->n--;
    sound_forget(l->r->sounds, l);
    sound_fini(&l->sound);
    pat_timer_fini(&l->look);
    free(l);
}

static void done(struct listener *l)
{
    pat_httpd_stream_end(l->http);
    let_go(l);
}

/* An address at the vendor's may be its own key: it stays out of the log. */
static void fail(struct listener *l, int err)
{
    pat_log(PAT_WARN, "recording.not_read",
            PAT_S("object", l->sound.remote ? "at the vendor" : l->sound.at), PAT_ERR(err));
    if (l->begun)
        pat_httpd_stream_end(l->http); /* breaks off: the length was promised */
    else
        pat_httpd_reply_error(l->http, err == PAT_ENOENT ? err : PAT_EUNAVAIL, NULL,
                              sound_problem(&l->sound, err));
    let_go(l);
}

/* ------------------------------------------------------------------ sending */

struct kind {
    const char *ending, *type;
};

/* By its name's ending, not by what a vendor calls it: a browser gets no page from here. */
static const struct kind *kind_of(const char *at)
{
    static const struct kind kinds[] = {
        { ".ogg", "audio/ogg" },
        { ".wav", "audio/wav" },
        { ".mp3", "audio/mpeg" },
        { ".m4a", "audio/mp4" },
    };
    static const struct kind other = { "", "application/octet-stream" };
    size_t len = strcspn(at, "?#");

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (len > 4 && !strncmp(at + len - 4, kinds[i].ending, 4))
            return &kinds[i];
    return &other;
}

static void refuse_range(struct listener *l, uint64_t total)
{
    char text[64];

    snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)total);
    (void)pat_httpd_set_header(l->http, "Content-Range", text);
    pat_httpd_reply(l->http, 416, NULL, NULL, 0);
    let_go(l);
}

static int begin(struct listener *l, uint64_t total)
{
    const struct kind *kind = kind_of(l->sound.at);
    char text[96];

    l->begun = true;
    (void)pat_httpd_set_header(l->http, "Accept-Ranges", "bytes");
    (void)pat_httpd_set_header(l->http, "X-Content-Type-Options", "nosniff");
    if (pat_httpd_query_param(l->http, "download")) {
        snprintf(text, sizeof text, "attachment; filename=\"call%s\"", kind->ending);
        (void)pat_httpd_set_header(l->http, "Content-Disposition", text);
    }
    if (l->range.any) {
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)l->at,
                 (unsigned long long)l->to, (unsigned long long)total);
        (void)pat_httpd_set_header(l->http, "Content-Range", text);
    }
    return pat_httpd_stream_begin_len(l->http, l->range.any ? 206 : 200, kind->type,
                                      l->to - l->at + 1);
}

static void on_piece(int err, const struct pat_store_res *res, void *arg)
{
    struct listener *l = arg;
    uint64_t left = l->to - l->at + 1;
    size_t n = res->len < left ? res->len : (size_t)left;

    l->asking = false;
    if (!err && !n)
        err = PAT_EUPSTREAM;
    if (!err)
        err = pat_httpd_stream_send(l->http, res->data, n);
    if (err) {
        fail(l, err);
        return;
    }
    l->at += n;
    l->moved_ms = pat_now_ms();
    if (l->at > l->to)
        done(l);
    else
        piece(l);
}

/* How long it is in truth, and whether it is there. */
static void on_length(int err, const struct pat_store_res *res, void *arg)
{
    struct listener *l = arg;

    l->asking = false;
    if (err) {
        fail(l, err == PAT_EINVAL ? PAT_ENOENT : err);
        return;
    }
    if (range_of(&l->range, res->total, &l->at, &l->to)) {
        refuse_range(l, res->total);
        return;
    }
    err = begin(l, res->total);
    if (err)
        fail(l, err);
    else if (!strcmp(pat_httpd_method(l->http), "HEAD"))
        done(l);
    else
        piece(l);
}

static void on_look(void *arg)
{
    piece(arg);
}

static void piece(struct listener *l)
{
    uint64_t left = l->to - l->at + 1;
    int err;

    if (pat_httpd_gone(l->http)) {
        done(l);
        return;
    }
    if (pat_httpd_stream_unsent(l->http) > UNSENT_MAX) {
        if (pat_now_ms() - l->moved_ms > STUCK_MS)
            done(l);
        else
            pat_timer_start(&l->look, LOOK_MS);
        return;
    }
    l->asking = true;
    err = sound_get_range(l->r->sounds, &l->sound, l->at, left < PIECE ? (size_t)left : PIECE,
                          on_piece, l);
    if (err)
        fail(l, err);
}

static void listen_to(struct recordings *r, struct pat_httpd_req *http, const struct pat_json *row)
{
    struct listener *l = r->n < LISTENERS_MAX ? calloc(1, sizeof *l) : NULL;
    int err = l ? sound_init(&l->sound, row) : PAT_EAGAIN;

    if (!err)
        err = pat_timer_init(&l->look, r->s->d->loop, on_look, l);
    if (err) {
        if (l)
            sound_fini(&l->sound);
        free(l);
        pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "too many are listening, try again");
        return;
    }
    l->r = r;
    l->http = http;
    l->range = range_read(pat_httpd_header(http, "range"));
    l->moved_ms = pat_now_ms();
    l->next = r->listeners;
    l->prev = &r->listeners;
    if (l->next)
        l->next->prev = &l->next;
    r->listeners = l;
    r->n++;
    l->asking = true;
    err = sound_get_range(r->sounds, &l->sound, 0, 1, on_length, l);
    if (err)
        fail(l, err);
}

/* ------------------------------------------------------------------ which recording */

struct visit {
    struct recordings *r;
    struct pat_httpd_req *http;
    bool waveform;
};

static void serve(struct visit *v, const struct pat_json *row)
{
    bool ours = pat_json_str_or(row, "object", NULL);
    PAT_AUTO_STR peaks =
        pat_json_at(row, "peaks") ? pat_json_print(pat_json_at(row, "peaks")) : NULL;

    if (!ours && !pat_json_str_or(row, "url", NULL))
        pat_httpd_reply_error(v->http, PAT_ENOENT, NULL, "there is no recording of this call");
    else if (v->waveform && peaks && strcmp(peaks, "null") != 0)
        pat_httpd_reply(v->http, 200, "application/json", peaks, strlen(peaks));
    else if (ours && !sounds_stored(v->r->sounds))
        pat_httpd_reply_error(v->http, PAT_EUNAVAIL, NULL, "no object store is set here");
    else if (v->waveform)
        waveforms_ask(v->r->waveforms, v->http, row);
    else
        listen_to(v->r, v->http, row);
}

static void on_row(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct visit *v = arg;
    const char *text = !err && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    PAT_AUTO_JSON row = NULL;

    if (!err && text)
        err = pat_json_parse(&row, text, strlen(text), NULL);
    if (err) {
        pat_log(PAT_ERROR, "api.not_answered", PAT_S("question", "recording_of"), PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
        pat_httpd_reply_error(v->http, PAT_EUNAVAIL, NULL,
                              "the database did not answer, try again");
    } else if (!row) {
        pat_httpd_reply_error(v->http, PAT_ENOENT, NULL, "there is no recording of this call");
    } else {
        serve(v, row);
    }
    free(v);
}

static void look_up(struct recordings *r, struct pat_httpd_req *http, const struct who *who,
                    const char *call, bool waveform)
{
    static const char sql[] =
        "select jsonb_build_object('call_id', c.id, 'user_id', c.user_id, 'object', r.object, 'url', m.url, 'peaks', "
        "coalesce(r.peaks, m.peaks)) from patchbay.calls c left join patchbay.recordings r on "
        "r.call_id = c.id and r.name = 'recording' and r.state = 'stored' left join "
        "patchbay.remote_recordings m on m.call_id = c.id where c.id = $3::uuid "
        "and " ASK_MAY_SEE("c.user_id");
    const char *params[] = { *who->user ? who->user : NULL, who->admin ? "true" : "false", call };
    struct visit *v = malloc(sizeof *v);
    int err = PAT_ENOMEM;

    if (v) {
        *v = (struct visit){ r, http, waveform };
        err = pat_db_run1(r->s->d->db, "recording_of", sql, params, 3, DB_MS, on_row, v, NULL);
    }
    if (!err)
        return;
    free(v);
    pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "too much to do, try again");
}

static void on_recording(struct pat_httpd_req *http, void *arg)
{
    struct switcher *s = arg;
    struct who who;
    const char *id;

    if (!door_listener(&who, s, http) && (id = door_id(http)))
        look_up(s->recordings, http, &who, id, false);
}

static void on_waveform(struct pat_httpd_req *http, void *arg)
{
    struct switcher *s = arg;
    struct who who;
    const char *id;

    if (!door_who(&who, s, http) && (id = door_id(http)))
        look_up(s->recordings, http, &who, id, true);
}

/* ------------------------------------------------------------------ life */

int recordings_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/v1/calls/{id}/recording", 0, on_recording },
        { "GET", "/v1/calls/{id}/waveform", 0, on_waveform },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}

int recordings_new(struct recordings **out, struct switcher *s)
{
    struct recordings *r = calloc(1, sizeof *r);
    int err;

    if (!r)
        return PAT_ENOMEM;
    r->s = s;
    err = sounds_new(&r->sounds, s);
    if (!err)
        err = waveforms_new(&r->waveforms, r);
    if (err) {
        recordings_free(r);
        return err;
    }
    *out = r;
    return PAT_OK;
}

void recordings_close(struct recordings *r)
{
    while (r && r->listeners) {
        if (r->listeners->begun)
            done(r->listeners);
        else
            fail(r->listeners, PAT_ECANCELED);
    }
}

void recordings_free(struct recordings *r)
{
    if (!r)
        return;
    recordings_close(r);
    waveforms_free(r->waveforms);
    sounds_free(r->sounds);
    free(r);
}
