/* deepgram.c - see deepgram.h.
 *
 * How: one function per message kind. It does not look at words, only at whole transcripts. */
#include "deepgram.h"

#include <math.h>
#include <string.h>

static void add_keyterms(struct pat_buf *b, const char *model, const struct stt_opts *o)
{
    /* Older models know "keywords" instead. */
    const char *name = strncmp(model, "nova-3", 6) ? "keywords" : "keyterm";

    for (const char *const *k = o->keyterms; k && *k; k++) {
        pat_buf_addf(b, "&%s=", name);
        (void)pat_url_encode(b, *k);
    }
}

static void add_base(struct pat_buf *out, const char *base)
{
    size_t len = strlen(base);

    while (len && base[len - 1] == '/')
        len--;
    pat_buf_add(out, base, len);
}

int deepgram_url(struct pat_buf *out, const char *base, const char *model, const struct stt_opts *o)
{
    add_base(out, base);
    pat_buf_adds(out, "/v1/listen?encoding=opus&sample_rate=48000&channels=1&interim_results=true"
                      "&vad_events=true&smart_format=true&punctuate=true&no_delay=true&model=");
    (void)pat_url_encode(out, model);
    if (o->language && *o->language) {
        pat_buf_adds(out, "&language=");
        (void)pat_url_encode(out, o->language);
    }
    if (o->endpointing_ms > 0)
        pat_buf_addf(out, "&endpointing=%d", o->endpointing_ms);
    else
        pat_buf_adds(out, "&endpointing=false");
    if (o->utterance_end_ms > 0)
        pat_buf_addf(out, "&utterance_end_ms=%d", o->utterance_end_ms);
    add_keyterms(out, model, o);
    return out->err;
}

/* The multilingual model is told what to expect, the English one nothing. */
int deepgram_flux_url(struct pat_buf *out, const char *base, const struct stt_opts *o)
{
    const struct stt_flux *f = o->flux;
    const char *language = o->language ? o->language : "";

    add_base(out, base);
    pat_buf_adds(out, "/v2/listen?encoding=opus&sample_rate=48000&model=");
    (void)pat_url_encode(out, f->model);
    pat_buf_addf(out, "&eot_threshold=%.2f&eot_timeout_ms=%d", f->eot_threshold, f->eot_timeout_ms);
    if (f->eager_threshold > 0)
        pat_buf_addf(out, "&eager_eot_threshold=%.2f", f->eager_threshold);
    if (strstr(f->model, "multi") && strcspn(language, "-_") == 2)
        pat_buf_addf(out, "&language_hint=%.2s", language);
    add_keyterms(out, "nova-3", o);
    return out->err;
}

/* Only some models know "multi"; for the others the account's default has to do. */
const char *deepgram_other_language(const char *model, const char *language)
{
    bool multi = !strncmp(model, "nova-3", 6) || !strncmp(model, "nova-2", 6);

    return multi && strcmp(language, "multi") != 0 ? "multi" : NULL;
}

/* A number from outside: no NaN, no year 10000. */
static int64_t ms_of(double seconds)
{
    return seconds > -1e6 && seconds < 1e6 ? (int64_t)llround(seconds * 1000) : 0;
}

static void read_results(struct deepgram_msg *m)
{
    const struct pat_json *j = m->tree;
    double start = pat_json_num_or(j, "start", 0);

    m->kind = DEEPGRAM_RESULTS;
    m->text = pat_json_str_or(j, "channel.alternatives[0].transcript", "");
    m->confidence = pat_json_num_or(j, "channel.alternatives[0].confidence", 0);
    m->is_final = pat_json_bool_or(j, "is_final", false);
    m->speech_final = pat_json_bool_or(j, "speech_final", false);
    m->from_finalize = pat_json_bool_or(j, "from_finalize", false);
    m->start_ms = ms_of(start);
    m->end_ms = ms_of(start + pat_json_num_or(j, "duration", 0));
}

static void read_end(struct deepgram_msg *m)
{
    double last = pat_json_num_or(m->tree, "last_word_end", -1);

    m->kind = DEEPGRAM_UTTERANCE_END;
    m->end_ms = last < 0 ? -1 : ms_of(last);
}

static void read_turn(struct deepgram_msg *m)
{
    static const struct {
        const char *name;
        enum deepgram_turn turn;
    } events[] = {
        { "StartOfTurn", DEEPGRAM_TURN_START },
        { "EagerEndOfTurn", DEEPGRAM_TURN_EAGER },
        { "TurnResumed", DEEPGRAM_TURN_RESUMED },
        { "EndOfTurn", DEEPGRAM_TURN_END },
    };
    const struct pat_json *j = m->tree;
    const char *name = pat_json_str_or(j, "event", "");

    m->kind = DEEPGRAM_TURN;
    m->turn = DEEPGRAM_TURN_UPDATE;
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (!strcmp(name, events[i].name))
            m->turn = events[i].turn;
    m->text = pat_json_str_or(j, "transcript", "");
    m->confidence = pat_json_num_or(j, "end_of_turn_confidence", 0);
    m->start_ms = ms_of(pat_json_num_or(j, "audio_window_start", 0));
    m->end_ms = ms_of(pat_json_num_or(j, "audio_window_end", 0));
}

static void read_error(struct deepgram_msg *m)
{
    const char *why = pat_json_str_or(m->tree, "description", NULL);

    m->kind = DEEPGRAM_ERROR;
    m->text = why ? why : pat_json_str_or(m->tree, "message", "");
}

int deepgram_parse(struct deepgram_msg *m, const char *text, size_t len)
{
    const char *type;
    int err;

    *m = (struct deepgram_msg){ .kind = DEEPGRAM_OTHER, .text = "" };
    err = pat_json_parse(&m->tree, text, len, NULL);
    if (!err)
        err = pat_json_get_str(m->tree, "type", &type, NULL);
    if (err) {
        deepgram_msg_fini(m);
        return err == PAT_ENOMEM ? err : PAT_EINVAL;
    }
    if (!strcmp(type, "Results")) {
        read_results(m);
    } else if (!strcmp(type, "SpeechStarted")) {
        m->kind = DEEPGRAM_SPEECH_STARTED;
        m->start_ms = ms_of(pat_json_num_or(m->tree, "timestamp", 0));
    } else if (!strcmp(type, "UtteranceEnd")) {
        read_end(m);
    } else if (!strcmp(type, "TurnInfo")) {
        read_turn(m);
    } else if (!strcmp(type, "Error")) {
        read_error(m);
    }
    return PAT_OK;
}

void deepgram_msg_fini(struct deepgram_msg *m)
{
    pat_json_free(m->tree);
    m->tree = NULL;
    m->text = "";
}

enum provider_fault deepgram_fault(int http_status, int close_code, const char *reason)
{
    if (http_status && http_status != 101)
        return provider_fault_of_http(http_status);
    if (close_code == 1008) /* DATA-0000: what it cannot decode */
        return FAULT_REQUEST;
    /* NET-0000: it made nothing of it in time. NET-0001: it heard nothing of us. */
    return close_code == 1011 && !(reason && strstr(reason, "NET-0001")) ? FAULT_SERVER
                                                                         : FAULT_CONNECTION;
}
