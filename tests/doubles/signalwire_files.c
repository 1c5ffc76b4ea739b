/* signalwire_files.c - recordings in the carrier's REST API: listed, looked at, given out.
 *
 * Below /Accounts/{account}/Recordings as both vendors have it: the list (newest first, pages of
 * PageSize), {sid}.json, and the sound itself as {sid}.wav, or without an ending. HTTP Basic for
 * all of them. What is given out is three seconds of silence in 8 kHz.
 */
#include "signalwire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct pat_id sw_id(const struct sw *sw, const char *kind)
{
    struct pat_id id = pat_id_new(), out = { 0 };
    size_t n = strlen(kind);

    if (!sw->twilio)
        return id;
    memcpy(out.s, kind, n);
    for (const char *p = id.s; *p; p++)
        if (*p != '-')
            out.s[n++] = *p;
    return out;
}

void sw_date(int64_t unix_ms, char out[40])
{
    time_t t = (time_t)(unix_ms / 1000);
    struct tm tm;

    (void)gmtime_r(&t, &tm);
    (void)strftime(out, 40, "%a, %d %b %Y %H:%M:%S +0000", &tm);
}

bool sw_muted(const struct sw *sw, const char *what)
{
    return strstr(sw->mute, what) != NULL;
}

static const char *root(const struct sw *sw)
{
    return sw->twilio ? "" : "/api/laml";
}

const struct sw_recording *sw_record(struct sw_call *c, int seconds, char url[SW_URL_MAX])
{
    struct sw *sw = c->sw;
    struct sw_recording *f = calloc(1, sizeof *f);

    if (!f)
        return NULL;
    f->sid = sw_id(sw, "RE");
    f->at_ms = pat_unix_ms();
    f->seconds = seconds;
    pat_strcpy(f->call_sid, sizeof f->call_sid, c->sid.s);
    f->next = sw->recordings;
    sw->recordings = f;
    snprintf(url, SW_URL_MAX, "http://127.0.0.1:%d%s/2010-04-01/Accounts/%s/Recordings/%s%s",
             dbl_port(sw->d, "signalwire"), root(sw), sw->project, f->sid.s,
             sw->twilio ? "" : ".wav");
    return f;
}

static struct pat_json *seen(const struct sw *sw, const struct sw_recording *f)
{
    struct pat_json *j = dbl_obj("sid", f->sid.s);
    char date[40], text[24], uri[300];

    sw_date(f->at_ms, date);
    snprintf(text, sizeof text, "%d", f->seconds);
    snprintf(uri, sizeof uri, "%s/2010-04-01/Accounts/%s/Recordings/%s.json", root(sw), sw->project,
             f->sid.s);
    pat_json_set_str(j, "account_sid", sw->project);
    pat_json_set_str(j, "call_sid", f->call_sid);
    pat_json_set_str(j, "api_version", "2010-04-01");
    pat_json_set_str(j, "status", "completed");
    pat_json_set_str(j, "duration", text);
    pat_json_set_str(j, "date_created", date);
    pat_json_set_str(j, "date_updated", date);
    pat_json_set_str(j, "start_time", date);
    pat_json_set_int(j, "channels", 1);
    pat_json_set_str(j, "source", "RecordVerb");
    pat_json_set_str(j, "uri", uri);
    return j;
}

static void on_list(struct pat_httpd_req *r, void *arg)
{
    struct sw *sw = arg;
    const char *size = pat_httpd_query_param(r, "PageSize"),
               *page = pat_httpd_query_param(r, "Page"),
               *call = pat_httpd_query_param(r, "CallSid");
    int64_t n = size ? strtoll(size, NULL, 10) : 50,
            from = (page ? strtoll(page, NULL, 10) : 0) * n;
    struct pat_json *j, *list;
    int64_t i = 0;
    char uri[300];

    if (sw_turned_away(sw, r))
        return;
    j = pat_json_obj();
    list = pat_json_arr();
    for (const struct sw_recording *f = sw->recordings; f; f = f->next) {
        if (call && strcmp(call, f->call_sid))
            continue;
        if (i >= from && i < from + n)
            pat_json_add_take(list, seen(sw, f));
        i++;
    }
    snprintf(uri, sizeof uri, "%s/2010-04-01/Accounts/%s/Recordings.json?PageSize=%lld&Page=%lld",
             root(sw), sw->project, (long long)n, (long long)(from / n + 1));
    pat_json_set_int(j, "page", from / n);
    pat_json_set_int(j, "page_size", n);
    pat_json_set_str(j, "next_page_uri", i > from + n ? uri : NULL);
    pat_json_set_take(j, "recordings", list);
    dbl_reply(r, 200, j);
}

static void put32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(v >> 8 * i);
}

static void give_sound(struct pat_httpd_req *r, const struct sw_recording *f)
{
    static const char head[] = "RIFF....WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0"
                               "\x02\0\x10\0data....";
    size_t bytes = (size_t)f->seconds * 16000;
    char *wav = calloc(1, 44 + bytes);

    if (!wav) {
        pat_httpd_reply_error(r, PAT_ENOMEM, NULL, NULL);
        return;
    }
    memcpy(wav, head, 44);
    put32(wav + 4, (uint32_t)(36 + bytes));
    put32(wav + 40, (uint32_t)bytes);
    pat_httpd_reply(r, 200, "audio/x-wav", wav, 44 + bytes);
    free(wav);
}

static void on_get(struct pat_httpd_req *r, void *arg)
{
    struct sw *sw = arg;
    const char *name = pat_httpd_param(r, "sid");
    size_t len = strcspn(name, ".");
    const struct sw_recording *f = sw->recordings;

    if (sw_turned_away(sw, r))
        return;
    while (f && (strlen(f->sid.s) != len || strncmp(f->sid.s, name, len)))
        f = f->next;
    if (f && !strcmp(name + len, ".json")) {
        dbl_reply(r, 200, seen(sw, f));
    } else if (f && sw->media_fails > 0) {
        sw->media_fails--;
        sw_refuse(r, 404, "20404", "The requested resource was not found");
    } else if (f) {
        dbl_log(sw->d, "file", dbl_obj("sid", f->sid.s));
        give_sound(r, f);
    } else {
        sw_refuse(r, 404, "20404", "The requested resource was not found");
    }
}

void sw_files_free(struct sw *sw)
{
    while (sw->recordings) {
        struct sw_recording *f = sw->recordings;

        sw->recordings = f->next;
        free(f);
    }
}

int sw_files_routes(struct sw *sw)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/api/laml/2010-04-01/Accounts/{account}/Recordings", 0, on_list },
        { "GET", "/api/laml/2010-04-01/Accounts/{account}/Recordings.json", 0, on_list },
        { "GET", "/2010-04-01/Accounts/{account}/Recordings.json", 0, on_list },
        { "GET", "/api/laml/2010-04-01/Accounts/{account}/Recordings/{sid}", 0, on_get },
        { "GET", "/2010-04-01/Accounts/{account}/Recordings/{sid}", 0, on_get },
        { 0 },
    };

    return pat_httpd_routes(sw->d->server, routes, sw);
}
