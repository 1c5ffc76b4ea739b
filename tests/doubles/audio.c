/* audio.c - see audio.h. How: plain loops; it does not resample, synth.c makes the asked rate. */
#include "audio.h"

#include "json.h"
#include "mp3enc.h"
#include "ulaw.h"

#include <stdlib.h>
#include <string.h>

bool audio_format_parse(struct audio_format *f, const char *name)
{
    static const int rates[] = { 8000, 16000, 22050, 24000, 32000, 44100, 48000 };
    int rate;
    char *end;

    *f = (struct audio_format){ 0 };
    if (!strcmp(name, "ulaw_8000")) {
        *f = (struct audio_format){ .rate = 8000, .ulaw = true };
        return true;
    }
    if (!strncmp(name, "mp3_", 4)) {
        f->rate = (int)strtol(name + 4, &end, 10);
        f->mp3_kbps = *end == '_' ? (int)strtol(end + 1, NULL, 10) : 0;
        return f->mp3_kbps && mp3enc_there();
    }
    if (strncmp(name, "pcm_", 4) != 0)
        return false;
    rate = (int)strtol(name + 4, NULL, 10);
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        if (rates[i] == rate)
            f->rate = rate;
    return f->rate != 0;
}

int audio_bytes(struct pat_buf *out, const struct audio_format *f, const int16_t *pcm, size_t n)
{
    char *to;

    if (f->mp3_kbps)
        return mp3enc(out, f->rate, f->mp3_kbps, pcm, n);
    to = pat_buf_reserve(out, f->ulaw ? n : 2 * n);
    if (!to)
        return PAT_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (f->ulaw) {
            to[i] = (char)ulaw_of(pcm[i]);
            continue;
        }
        to[2 * i] = (char)(pcm[i] & 0xFF);
        to[2 * i + 1] = (char)((uint16_t)pcm[i] >> 8);
    }
    out->len += f->ulaw ? n : 2 * n;
    return PAT_OK;
}

int audio_base64(struct pat_buf *out, const void *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = data;
    char *to = pat_buf_reserve(out, (len + 2) / 3 * 4);

    if (!to)
        return PAT_ENOMEM;
    for (size_t i = 0; i < len; i += 3, to += 4) {
        uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0) |
                     (i + 2 < len ? p[i + 2] : 0);

        to[0] = digits[v >> 18];
        to[1] = digits[v >> 12 & 63];
        to[2] = i + 1 < len ? digits[v >> 6 & 63] : '=';
        to[3] = i + 2 < len ? digits[v & 63] : '=';
    }
    out->len += (len + 2) / 3 * 4;
    return PAT_OK;
}

static void add_letter(struct pat_json *chars, const char *text, size_t at, size_t len)
{
    char letter[5] = "";

    memcpy(letter, text + at, len < 4 ? len : 4);
    pat_json_add_str(chars, letter);
}

static size_t letter_length(const char *text, size_t at, size_t to)
{
    size_t len = 1;

    while (at + len < to && ((uint8_t)text[at + len] & 0xC0) == 0x80)
        len++;
    return len;
}

static void add_number(struct pat_json *arr, double v)
{
    struct pat_json *holder = pat_json_obj(), *n;

    pat_json_set_num(holder, "n", v);
    n = pat_json_dup(pat_json_at(holder, "n"));
    pat_json_add_take(arr, n);
    pat_json_free(holder);
}

/* scale 1: ms; 0.001: seconds. */
static void spread(const char *text, size_t from, size_t to, int64_t ms, double scale,
                   struct pat_json *chars, struct pat_json *starts, struct pat_json *seconds)
{
    size_t n = to - from;

    for (size_t at = from, len; at < to; at += len) {
        double start = (double)((at - from) * (size_t)ms / n), end;

        len = letter_length(text, at, to);
        end = (double)((at + len - from) * (size_t)ms / n);
        add_letter(chars, text, at, len);
        add_number(starts, start * scale);
        add_number(seconds, scale < 1 ? end * scale : end - start);
    }
}

struct pat_json *audio_alignment(const char *text, size_t from, size_t to, int64_t ms, bool snake)
{
    struct pat_json *j = pat_json_obj(), *chars = pat_json_arr(), *starts = pat_json_arr(),
                    *durations = pat_json_arr();

    spread(text, from, to, ms, 1, chars, starts, durations);
    pat_json_set_take(j, "chars", chars);
    pat_json_set_take(j, snake ? "char_start_times_ms" : "charStartTimesMs", starts);
    pat_json_set_take(j, snake ? "char_durations_ms" : "charDurationsMs", durations);
    return j;
}

struct pat_json *audio_timestamps(const char *text, int64_t ms)
{
    struct pat_json *j = pat_json_obj(), *chars = pat_json_arr(), *starts = pat_json_arr(),
                    *ends = pat_json_arr();

    spread(text, 0, strlen(text), ms, 0.001, chars, starts, ends);
    pat_json_set_take(j, "characters", chars);
    pat_json_set_take(j, "character_start_times_seconds", starts);
    pat_json_set_take(j, "character_end_times_seconds", ends);
    return j;
}
