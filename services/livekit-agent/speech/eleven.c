/* eleven.c - see eleven.h.
 *
 * How: messages are built as text, read as trees. It holds no state of a socket. */
#include "eleven.h"

#include <stdio.h>
#include <string.h>

int eleven_url(struct pat_buf *out, const char *base, const char *model, const char *language,
               const struct voice *v, const char *format)
{
    size_t len = strlen(base);

    while (len && base[len - 1] == '/')
        len--;
    pat_buf_add(out, base, len);
    pat_buf_adds(out, "/v1/text-to-speech/");
    (void)pat_url_encode(out, v->id);
    pat_buf_addf(out,
                 "/multi-stream-input?output_format=%s&auto_mode=true"
                 "&inactivity_timeout=60&sync_alignment=true&model_id=",
                 format);
    (void)pat_url_encode(out, model);
    /* Older models refuse the parameter, with a 400. */
    if (language && *language && strstr(model, "v2_5")) {
        pat_buf_adds(out, "&language_code=");
        (void)pat_url_encode(out, language);
    }
    return out->err;
}

static void set_number(struct pat_json *j, const char *key, double value)
{
    if (value >= 0)
        pat_json_set_num(j, key, value);
}

static struct pat_json *message(const char *context)
{
    struct pat_json *j = pat_json_obj();

    if (context)
        pat_json_set_str(j, "context_id", context);
    return j;
}

static int print_and_free(struct pat_json *j, struct pat_buf *out)
{
    int err = pat_json_print_to(j, out);

    pat_json_free(j);
    return err;
}

int eleven_begin(struct pat_buf *out, const char *context, const struct voice *v)
{
    struct pat_json *j = message(context), *settings = pat_json_obj();

    pat_json_set_str(j, "text", " ");
    set_number(settings, "stability", v->stability);
    set_number(settings, "similarity_boost", v->similarity);
    set_number(settings, "style", v->style);
    set_number(settings, "speed", v->speed);
    if (v->speaker_boost >= 0)
        pat_json_set_bool(settings, "use_speaker_boost", v->speaker_boost > 0);
    if (pat_json_size(settings))
        pat_json_set_take(j, "voice_settings", settings);
    else
        pat_json_free(settings);
    return print_and_free(j, out);
}

/* Text should end with a blank; flush: a whole sentence need not wait for another. */
int eleven_text(struct pat_buf *out, const char *context, const char *text, size_t len)
{
    struct pat_json *j = message(context);
    struct pat_buf b;
    int err;

    pat_buf_init(&b, len + 2);
    pat_buf_add(&b, text, len);
    if (len && text[len - 1] != ' ')
        pat_buf_adds(&b, " ");
    err = b.err;
    pat_json_set_strn(j, "text", b.data ? b.data : "", b.len);
    pat_json_set_bool(j, "flush", true);
    pat_buf_fini(&b);
    if (err) {
        pat_json_free(j);
        return err;
    }
    return print_and_free(j, out);
}

int eleven_close(struct pat_buf *out, const char *context)
{
    struct pat_json *j = message(context);

    pat_json_set_bool(j, "close_context", true);
    return print_and_free(j, out);
}

int eleven_keep(struct pat_buf *out, const char *context)
{
    struct pat_json *j = message(context);

    pat_json_set_str(j, "text", "");
    return print_and_free(j, out);
}

bool eleven_is_fatal(const char *reason)
{
    static const char *const marks[] = { "quota",   "voice_not_found",  "does not exist",
                                         "api_key", "invalid api key",  "unauthor",
                                         "payment", "permission",       "unusual_activity",
                                         "model_",  "only_for_creator", "voice_id" };

    for (size_t i = 0; reason && i < sizeof marks / sizeof marks[0]; i++)
        if (strcasestr(reason, marks[i]))
            return true;
    return false;
}

enum provider_fault eleven_fault(int http_status, const char *reason)
{
    static const struct {
        const char *mark;
        enum provider_fault fault;
    } marks[] = {
        { "quota", FAULT_QUOTA },
        { "payment", FAULT_QUOTA },
        { "voice_not_found", FAULT_VOICE },
        { "does not exist", FAULT_VOICE },
        { "voice_id", FAULT_VOICE },
        { "api_key", FAULT_AUTH },
        { "invalid api key", FAULT_AUTH },
        { "unauthor", FAULT_AUTH },
        { "permission", FAULT_AUTH },
        { "unusual_activity", FAULT_AUTH },
        { "concurrent", FAULT_RATE },
        { "rate_limit", FAULT_RATE },
        { "system_busy", FAULT_RATE },
        { "model_", FAULT_MODEL },
        { "only_for_creator", FAULT_REQUEST },
    };

    for (size_t i = 0; reason && i < sizeof marks / sizeof marks[0]; i++)
        if (strcasestr(reason, marks[i].mark))
            return marks[i].fault;
    if (http_status == 404) /* the voice is in the path */
        return FAULT_VOICE;
    return http_status && http_status != 101 ? provider_fault_of_http(http_status)
                                             : FAULT_CONNECTION;
}

static const struct pat_json *array_of(const struct pat_json *j, const char *const *names)
{
    for (; *names; names++) {
        const struct pat_json *a = pat_json_at(j, *names);

        if (a && pat_json_kind(a) == PAT_JSON_ARR)
            return a;
    }
    return NULL;
}

static void read_alignment(struct eleven_msg *m)
{
    static const char *const chars[] = { "chars", "characters", NULL };
    static const char *const starts[] = { "charStartTimesMs", "charsStartTimesMs",
                                          "char_start_times_ms", NULL };
    static const char *const durations[] = { "charDurationsMs", "charsDurationsMs",
                                             "char_durations_ms", NULL };
    const struct pat_json *a = pat_json_at(m->tree, "alignment");

    if (!a || pat_json_kind(a) != PAT_JSON_OBJ)
        return;
    m->chars = array_of(a, chars);
    m->starts = array_of(a, starts);
    m->durations = array_of(a, durations);
    if (!m->chars || !m->starts || !m->durations ||
        pat_json_size(m->chars) != pat_json_size(m->starts) ||
        pat_json_size(m->chars) != pat_json_size(m->durations))
        m->chars = m->starts = m->durations = NULL;
}

static void read_error(struct eleven_msg *m)
{
    const char *slug = pat_json_str_or(m->tree, "error", NULL);
    const char *words = pat_json_str_or(m->tree, "message", NULL);

    if (!slug && !(words && !m->audio && !m->is_final))
        return;
    m->error = slug ? slug : words;
    m->fatal = eleven_is_fatal(slug) || eleven_is_fatal(words);
}

int eleven_parse(struct eleven_msg *m, const char *text, size_t len)
{
    int err;

    *m = (struct eleven_msg){ .context = "" };
    err = pat_json_parse(&m->tree, text, len, NULL);
    if (!err && pat_json_kind(m->tree) != PAT_JSON_OBJ)
        err = PAT_EINVAL;
    if (err) {
        eleven_msg_fini(m);
        return err == PAT_ENOMEM ? err : PAT_EINVAL;
    }
    m->context = pat_json_str_or(m->tree, "contextId", pat_json_str_or(m->tree, "context_id", ""));
    m->audio = pat_json_str_or(m->tree, "audio", NULL);
    m->is_final =
        pat_json_bool_or(m->tree, "isFinal", false) || pat_json_bool_or(m->tree, "is_final", false);
    read_error(m);
    read_alignment(m);
    return PAT_OK;
}

void eleven_msg_fini(struct eleven_msg *m)
{
    pat_json_free(m->tree);
    *m = (struct eleven_msg){ .context = "" };
}

static int ms_at(const struct pat_json *a, size_t i)
{
    double v = pat_json_value_num(pat_json_item(a, i));

    return v > 0 && v < 1e8 ? (int)v : 0;
}

void eleven_words(const struct eleven_msg *m, eleven_word_fn *fn, void *arg)
{
    size_t n = m->chars ? pat_json_size(m->chars) : 0, begin = 0;
    struct pat_buf word;

    pat_buf_init(&word, 1000);
    for (size_t i = 0; i < n; i++) {
        const char *c = pat_json_value_str(pat_json_item(m->chars, i));

        pat_buf_adds(&word, c ? c : "");
        if (i + 1 < n && !(c && *c == ' ') && !word.err)
            continue;
        if (word.len && !word.err)
            fn(word.data, word.len, ms_at(m->starts, begin),
               ms_at(m->starts, i) + ms_at(m->durations, i), arg);
        pat_buf_reset(&word);
        begin = i + 1;
    }
    pat_buf_fini(&word);
}

/* Base64 as it is read, byte by byte. */
struct base64 {
    const char *s;
    size_t len, at;
    uint32_t bits;
    int n_bits;
};

static struct base64 base64_of(const char *s, size_t len)
{
    while (len && (s[len - 1] == '=' || s[len - 1] == '\n'))
        len--;
    return (struct base64){ .s = s, .len = len };
}

/* 1: there was a byte; 0: there is none any more; PAT_EPROTO. */
static int base64_next(struct base64 *b, uint8_t *out)
{
    while (b->at < b->len) {
        int s = pat_base64_bits(b->s[b->at++]);

        if (s < 0)
            return PAT_EPROTO;
        b->bits = b->bits << 6 | (uint32_t)s;
        b->n_bits += 6;
        if (b->n_bits < 8)
            continue;
        b->n_bits -= 8;
        *out = (uint8_t)(b->bits >> b->n_bits);
        return 1;
    }
    return 0;
}

int eleven_samples(const char *base64, size_t len, int *carry, int16_t *out)
{
    struct base64 b = base64_of(base64, len);
    int more, n = 0;
    uint8_t byte;

    while ((more = base64_next(&b, &byte)) > 0) {
        if (*carry < 0) {
            *carry = byte;
            continue;
        }
        out[n++] = (int16_t)(uint16_t)(*carry | byte << 8);
        *carry = -1;
    }
    return more ? more : n;
}

int eleven_bytes(const char *base64, size_t len, uint8_t *out)
{
    struct base64 b = base64_of(base64, len);
    int more, n = 0;

    while ((more = base64_next(&b, out + n)) > 0)
        n++;
    return more ? more : n;
}
