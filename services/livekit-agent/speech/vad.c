/* vad.c - see vad.h.
 *
 * How: a frame is voiced when it is so many dB above a background that falls fast and rises
 * slowly (and, for samples, when WebRTC's detector agrees); runs of voiced and unvoiced frames make
 * the events. The detector's header is not in Debian's package, its symbols are: declared here. */
#include "vad.h"

#include <math.h>
#include <string.h>

#ifdef PAT_WEBRTC_VAD
void *WebRtcVad_Create(void);
int WebRtcVad_Init(void *handle);
int WebRtcVad_set_mode(void *handle, int mode);
int WebRtcVad_Process(void *handle, int rate, const int16_t *pcm, size_t n);
void WebRtcVad_Free(void *handle);
#endif

enum { RATE = 16000, STRICT = 3, GAP_MS = 60 /* inside a word: a stop consonant */ };

#define START_BACKGROUND_DB (-55.0)
#define FALL                0.3   /* share of the way per frame */
#define RISE                0.02  /* while nobody speaks */
#define RISE_SPEAKING       0.002 /* a call that starts in noise finds its background too */
#define STAY_DB             4.0   /* speech may be that much quieter than its start */

int vad_init(struct vad *v, const struct vad_conf *conf)
{
    memset(v, 0, sizeof *v);
    if (conf)
        v->conf = *conf;
    if (!v->conf.start_ms)
        v->conf.start_ms = 60;
    if (!v->conf.stop_ms)
        v->conf.stop_ms = 300;
    if (!v->conf.margin_db)
        v->conf.margin_db = 10;
    if (!v->conf.floor_db)
        v->conf.floor_db = -62;
    if (!v->conf.strict)
        v->conf.strict = STRICT;
    v->background_db = START_BACKGROUND_DB;
#ifdef PAT_WEBRTC_VAD
    v->webrtc = WebRtcVad_Create();
    if (!v->webrtc)
        return PAT_ENOMEM;
    if (WebRtcVad_Init(v->webrtc) || WebRtcVad_set_mode(v->webrtc, v->conf.strict - 1)) {
        vad_fini(v);
        return PAT_EINTERNAL;
    }
#endif
    return PAT_OK;
}

void vad_fini(struct vad *v)
{
#ifdef PAT_WEBRTC_VAD
    if (v->webrtc)
        WebRtcVad_Free(v->webrtc);
#endif
    v->webrtc = NULL;
}

void vad_set(struct vad *v, int strict, int margin_db)
{
    v->conf.strict = strict;
    v->conf.margin_db = margin_db;
#ifdef PAT_WEBRTC_VAD
    (void)WebRtcVad_set_mode(v->webrtc, strict - 1);
#endif
}

static enum vad_event on_voiced(struct vad *v, int ms)
{
    v->unvoiced_ms = 0;
    v->voiced_ms += ms;
    if (v->speaking || v->voiced_ms < v->conf.start_ms)
        return VAD_NONE;
    v->speaking = true;
    return VAD_STARTED;
}

static enum vad_event on_unvoiced(struct vad *v, int ms)
{
    if (v->unvoiced_ms < 24 * 3600 * 1000)
        v->unvoiced_ms += ms;
    if (v->unvoiced_ms >= GAP_MS)
        v->voiced_ms = 0;
    if (!v->speaking || v->unvoiced_ms < v->conf.stop_ms)
        return VAD_NONE;
    v->speaking = false;
    return VAD_STOPPED;
}

static void adapt(struct vad *v, double db)
{
    double share = db < v->background_db ? FALL : v->speaking ? RISE_SPEAKING : RISE;

    /* The background never falls to digital silence: the first breath would be speech. */
    if (db < v->conf.floor_db - v->conf.margin_db)
        db = v->conf.floor_db - v->conf.margin_db;
    v->background_db += share * (db - v->background_db);
}

static bool is_loud(const struct vad *v, double db)
{
    double need = v->background_db + v->conf.margin_db - (v->speaking ? STAY_DB : 0);

    return db > need && db > v->conf.floor_db;
}

enum vad_event vad_level(struct vad *v, int level, int ms)
{
    bool voiced = is_loud(v, -level);

    adapt(v, -level);
    return voiced ? on_voiced(v, ms) : on_unvoiced(v, ms);
}

static double level_db(const int16_t *pcm, size_t n)
{
    double sum = 1; /* not 0: its logarithm is wanted */

    for (size_t i = 0; i < n; i++)
        sum += (double)pcm[i] * pcm[i];
    return 10 * log10(sum / (double)(n ? n : 1) / (32768.0 * 32768.0));
}

enum vad_event vad_samples(struct vad *v, const int16_t *pcm, size_t n)
{
    double db = level_db(pcm, n);
    int ms = (int)(n * 1000 / RATE);
    bool voiced = is_loud(v, db);

    adapt(v, db);
#ifdef PAT_WEBRTC_VAD
    /* It also hears loud noise as no speech, and quiet speech the energy alone would miss. */
    if (db > v->conf.floor_db)
        voiced = WebRtcVad_Process(v->webrtc, RATE, pcm, n) == 1;
#endif
    return voiced ? on_voiced(v, ms) : on_unvoiced(v, ms);
}

enum vad_event vad_silence(struct vad *v, int ms)
{
    return on_unvoiced(v, ms);
}

int vad_unvoiced_ms(const struct vad *v)
{
    return v->unvoiced_ms;
}
