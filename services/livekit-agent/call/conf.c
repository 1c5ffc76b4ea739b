/* conf.c - every setting of livekit-agent, once. */
#include "conf.h"

#include "../speech/opusio.h"
#include "chains.h"
#include "sound.h"

#include <string.h>
#include <unistd.h>

#define ROW(name, kind, field, def, help)                                                          \
    {                                                                                              \
        name, kind, offsetof(struct agent_conf, field), def, help, NULL, 0, 0, 0                   \
    }
#define URL(name, field, def, schemes, help)                                                       \
    {                                                                                              \
        name, PAT_CONF_URL, offsetof(struct agent_conf, field), def, help, schemes, 0, 0, 0        \
    }
#define NEED(name, kind, field, help)                                                              \
    {                                                                                              \
        name, kind, offsetof(struct agent_conf, field), NULL, help, NULL, 0, 0, PAT_CONF_REQUIRED  \
    }
#define NUM(name, kind, field, def, min, max, help)                                                \
    {                                                                                              \
        name, kind, offsetof(struct agent_conf, field), def, help, NULL, min, max, 0               \
    }

const struct pat_conf_row agent_rows[] = {
    NUM("PAT_AGENT_CONNECT_MS", PAT_CONF_MS, connect_ms, "2s", 100, 30000,
        "a provider that is not reached in that time is passed over"),
    NUM("PAT_AGENT_DTMF_PAUSE_MS", PAT_CONF_MS, dtmf_pause_ms, "2s", 200, 30000,
        "keys pressed are a whole turn when no other follows for so long, or at #"),
    NUM("PAT_AGENT_FIRST_TOKEN_MS", PAT_CONF_MS, first_token_ms, "2500ms", 100, 30000,
        "a model silent for so long is passed over"),
    NUM("PAT_AGENT_HANDOVER_MS", PAT_CONF_MS, handover_ms, "10s", 0, 3600000,
        "on SIGTERM calls are handed over to other agents in a quiet moment, at the latest after "
        "this; 0: they are not, and may last as long as PAT_DRAIN_MS allows"),
    NUM("PAT_AGENT_HEDGE_MS", PAT_CONF_MS, hedge_ms, "0", 0, 30000,
        "a model silent for so long is raced against the next one; 0: never"),
    ROW("PAT_AGENT_HOLD_SOUND", PAT_CONF_STR, hold_sound, "hold-music",
        "what a caller hears while somebody is asked to take the call: a sound of PAT_AMBIENT_DIR or ours; none: silence"),
    NUM("PAT_AGENT_IDLE_MS", PAT_CONF_MS, idle_ms, "20s", 0, 600000,
        "a caller silent for so long is asked whether they are there; 0: never"),
    NUM("PAT_AGENT_IDLE_PROMPTS", PAT_CONF_INT, idle_prompts, "2", 0, 10,
        "asked so often; then there is a goodbye"),
    { "PAT_AGENT_MACHINE", PAT_CONF_ENUM, offsetof(struct agent_conf, machine), "tell",
      "an answering machine at the other end is told as an event, hung up on, or left a message",
      "tell,hang_up,message", 0, 0, 0 },
    ROW("PAT_AGENT_MACHINE_MESSAGE", PAT_CONF_STR, machine_message, "",
        "what is left there, after its tone"),
    NUM("PAT_AGENT_MAX_CALLS", PAT_CONF_INT, max_calls, "100", 1, 5000,
        "calls served at once; more are refused"),
    NUM("PAT_AGENT_MAX_CALL_CENTS", PAT_CONF_INT, max_call_cents, "0", 0, 1000000,
        "a call that costs so many US cents by the book of prices is ended with a goodbye; a user's own limit "
        "may be lower; 0: no limit"),
    NUM("PAT_AGENT_MAX_CALL_MS", PAT_CONF_MS, max_call_ms, "90m", 1000, 86400000,
        "a call this long is ended with a goodbye, and a warning a minute before"),
    NUM("PAT_AGENT_MAX_CALL_TOKENS", PAT_CONF_INT, max_call_tokens, "2000000", 0, 1 << 30,
        "a call whose model used so many tokens is ended with a goodbye; 0: no limit"),
    NUM("PAT_AGENT_MAX_TOOL_CALLS", PAT_CONF_INT, max_tool_calls, "40", 0, 10000,
        "tools a model may call in one call; 0: none"),
    NUM("PAT_AGENT_PHRASE_CACHE", PAT_CONF_INT, phrase_cache_bytes, "33554432", 0, 1 << 30,
        "bytes of spoken phrases kept in memory"),
    ROW("PAT_AGENT_PHRASE_DIR", PAT_CONF_STR, phrase_dir, "",
        "and more of them here, for every agent of this machine; empty: in memory only"),
    NUM("PAT_AGENT_PHRASE_DISK", PAT_CONF_INT, phrase_disk_bytes, "268435456", 1 << 20,
        (int64_t)1 << 40, "bytes of them kept there, by all agents together"),
    NUM("PAT_AGENT_REALTIME", PAT_CONF_INT, realtime, "0", 0, 99,
        "priority of sound before everything else on the machine (SCHED_RR; needs CAP_SYS_NICE or a "
        "limit rtprio of as much); 0: none"),
    NUM("PAT_AGENT_REAP_GRACE_MS", PAT_CONF_MS, reap_grace_ms, "60s", 100, 3600000,
        "a call's room with nobody in it but agents without a call is deleted after so long"),
    NUM("PAT_AGENT_REAP_MS", PAT_CONF_MS, reap_ms, "30s", 0, 3600000,
        "LiveKit's rooms are looked through so often for what was left behind; 0: never"),
    NUM("PAT_AGENT_REFUSED_MS", PAT_CONF_MS, refused_ms, "60s", 100, 3600000,
        "an account that refused our key or is spent, or a model it does not know, is left out for so long"),
    ROW("PAT_AGENT_REFER_URI", PAT_CONF_STR, refer_uri, "tel:{number}",
        "whom a REFER names, the number in E.164: sip:{number}@sbc.example.com"),
    ROW("PAT_AGENT_SPOOL_FILE", PAT_CONF_STR, spool_file, "",
        "events not yet stored are also kept here; empty: in memory only"),
    ROW("PAT_AGENT_TIME_ZONE", PAT_CONF_STR, time_zone, "UTC",
        "of users whose settings name none: America/New_York"),
    ROW("PAT_AGENT_TOOL_PRIVATE_NETS", PAT_CONF_BOOL, tool_private_nets, "false",
        "users' webhook tools may lie in private networks, and be plain http"),
    { "PAT_AGENT_TRANSFER_BY", PAT_CONF_ENUM, offsetof(struct agent_conf, transfer_by), "carrier",
      "who puts a caller through: the router, by the carrier's API, or LiveKit, by SIP REFER on the caller's own trunk",
      "carrier,refer", 0, 0, 0 },
    ROW("PAT_AGENT_TRANSFER_PREFIXES", PAT_CONF_STR, transfer_countries, "",
        "numbers a caller may be put through to, or called back at, begin so: +1,+44; empty: any"),
    NUM("PAT_AGENT_WAIT_MORE_MS", PAT_CONF_MS, wait_more_ms, "4s", 100, 60000,
        "and so long after that word an apology, as kept ready where no voice speaks"),
    NUM("PAT_AGENT_WAIT_MS", PAT_CONF_MS, wait_ms, "4s", 0, 60000,
        "a caller who hears nothing so long after his own words is asked for a moment; 0: never"),
    ROW("PAT_AMBIENT_DIR", PAT_CONF_STR, ambient_dir, "",
        "recordings of places: <name>.wav, 48 kHz mono 16 bit, instead of those we make"),
    ROW("PAT_CALL_SECRET", PAT_CONF_SECRET, call_secret, "",
        "signs the SIP headers that carry a call's context"),
    ROW("PAT_DEEPGRAM_2_API_KEY", PAT_CONF_SECRET, second[0].key, "",
        "deepgram-2: a second key; empty: the first one's"),
    URL("PAT_DEEPGRAM_2_URL", second[0].url, NULL, "ws,wss",
        "deepgram-2: another address; empty: the first one's"),
    ROW("PAT_DEEPGRAM_API_KEY", PAT_CONF_SECRET, deepgram_key, "", "speech recognition"),
    ROW("PAT_DEEPGRAM_MODEL", PAT_CONF_STR, deepgram_model, "nova-3", "its model"),
    URL("PAT_DEEPGRAM_URL", deepgram_url, "wss://api.deepgram.com", "ws,wss", "its address"),
    ROW("PAT_ELEVENLABS_2_API_KEY", PAT_CONF_SECRET, second[1].key, "",
        "elevenlabs-2: a second key; empty: the first one's"),
    URL("PAT_ELEVENLABS_2_URL", second[1].url, NULL, "ws,wss,http,https",
        "elevenlabs-2: another address; empty: the first one's"),
    ROW("PAT_ELEVENLABS_API_KEY", PAT_CONF_SECRET, elevenlabs_key, "", "speech synthesis"),
    ROW("PAT_ELEVENLABS_MODEL", PAT_CONF_STR, elevenlabs_model, "eleven_flash_v2_5", "its model"),
    ROW("PAT_ELEVENLABS_OPUS", PAT_CONF_BOOL, elevenlabs_opus, "true",
        "ask for Opus and send its packets on as they are; samples where that does not work"),
    URL("PAT_ELEVENLABS_URL", elevenlabs_url, "wss://api.elevenlabs.io", "ws,wss,http,https",
        "its address"),
    ROW("PAT_EVENT_LOG_DIR", PAT_CONF_STR, event_log_dir, "",
        "each call's turn-taking events are written here; empty: not at all"),
    NUM("PAT_HEALTH_PROBE_EVERY", PAT_CONF_MS, probe_ms, "1m", 0, 3600000,
        "how often one of all looks whether LiveKit could serve a call; 0: never"),
    ROW("PAT_LIVEKIT_AGENT_NAME", PAT_CONF_STR, agent_name, "pat",
        "dispatches to this name are ours"),
    NEED("PAT_LIVEKIT_API_KEY", PAT_CONF_STR, livekit_key, "LiveKit's API key"),
    NEED("PAT_LIVEKIT_API_SECRET", PAT_CONF_SECRET, livekit_secret, "and its secret"),
    URL("PAT_LIVEKIT_URL", livekit_url, "ws://127.0.0.1:7880", "ws,wss,http,https",
        "LiveKit's address"),
    ROW("PAT_LLM_CHAIN", PAT_CONF_LIST, llm_chain, "",
        "who thinks, in order: openai-2:gpt-4o-mini,...; empty: PAT_OPENAI_MODELS on each account"),
    ROW("PAT_OPENAI_2_API_KEY", PAT_CONF_SECRET, second[2].key, "",
        "openai-2: a second key; empty: the first one's"),
    URL("PAT_OPENAI_2_URL", second[2].url, NULL, "http,https",
        "openai-2: another address that speaks Chat Completions; empty: the first one's"),
    ROW("PAT_OPENAI_API_KEY", PAT_CONF_SECRET, openai_key, "", "language model, and voices"),
    ROW("PAT_OPENAI_MODELS", PAT_CONF_LIST, openai_models, "gpt-4o-mini,gpt-6-luna",
        "tried in this order"),
    ROW("PAT_OPENAI_TTS_MODEL", PAT_CONF_STR, openai_tts_model, "gpt-4o-mini-tts",
        "speaks the OpenAI voices"),
    URL("PAT_OPENAI_URL", openai_url, "https://api.openai.com/v1", "http,https", "its address"),
    { "PAT_RECORDING", PAT_CONF_ENUM, offsetof(struct agent_conf, recording.whose), "wanted",
      "which calls are recorded: none, those whose settings say so, all", "off,wanted,all", 0, 0,
      0 },
    PAT_STORE_PUBLIC_ROW(struct agent_conf, recording.store),
    PAT_STORE_ROWS(struct agent_conf, recording.store),
    NUM("PAT_RECORDING_MEMORY", PAT_CONF_INT, recording.memory, "67108864", 1 << 20, 1 << 30,
        "bytes of recordings that may wait for the store; beyond, they are lost"),
    ROW("PAT_RECORDING_NOTICE", PAT_CONF_STR, recording.notice, "",
        "said before the greeting of a call that is recorded; cannot be interrupted"),
    NUM("PAT_RECORDING_PIECE_MS", PAT_CONF_MS, recording.piece_ms, "3s", 500, 4000,
        "sound in a piece; what a crash may lose"),
    NUM("PAT_RECORDING_QUIET_MS", PAT_CONF_MS, recording.quiet_ms, "60s", 1000, 3600000,
        "a recording whose agent is silent for so long is finished by another"),
    ROW("PAT_STT_CHAIN", PAT_CONF_LIST, stt_chain, "",
        "who listens, in order: deepgram:nova-3,...; empty: each account set up"),
    ROW("PAT_TTS_CHAIN", PAT_CONF_LIST, tts_chain, "",
        "who speaks, in order: elevenlabs,openai,...; empty: each account set up"),
    { "PAT_TURN_DETECTION", PAT_CONF_ENUM, offsetof(struct agent_conf, turn_detection),
      "endpointing",
      "who judges that a caller has finished, where an agent says nothing of it: pauses, or Deepgram Flux",
      "endpointing,flux", 0, 0, 0 },
    ROW("PAT_VOICE_FALLBACK", PAT_CONF_STR, voice_fallback, "openai-shimmer",
        "a stored voice id that speaks when the user's own cannot"),
};
const size_t agent_rows_n = sizeof agent_rows / sizeof agent_rows[0];

/* One frame of sound through the encoder and back. */
static int codec_works(void)
{
    struct opusio_enc *enc;
    struct opusio_dec *dec = NULL;
    int16_t pcm[OPUSIO_FRAME], back[OPUSIO_MAX_16K];
    uint8_t opus[OPUSIO_MAX_PACKET];
    int err = opusio_enc_new(&enc, 3), n;

    if (err)
        return err;
    err = opusio_dec_new(&dec);
    for (int i = 0; i < OPUSIO_FRAME; i++)
        pcm[i] = (int16_t)((i % 96 < 48 ? 1 : -1) * 8000); /* 500 Hz */
    for (int i = 0; !err && i < 3; i++) {
        n = opusio_encode(enc, pcm, opus);
        n = n > 0 ? opusio_decode(dec, opus, (size_t)n, OPUSIO_FRAME, back) : n;
        err = n < 0 ? n : PAT_OK;
    }
    if (!err && sound_level(back, OPUSIO_FRAME / 3) > 40)
        err = PAT_EINTERNAL;
    opusio_dec_free(dec);
    opusio_enc_free(enc);
    return err;
}

int agent_conf_check(const void *conf, struct pat_buf *errors)
{
    const struct agent_conf *c = conf;
    size_t before = errors->len;

    if (strlen(c->livekit_secret) < 6)
        pat_buf_adds(errors, "PAT_LIVEKIT_API_SECRET: too short to be one\n");
    if (!*c->openai_models)
        pat_buf_adds(errors, "PAT_OPENAI_MODELS: must name a model\n");
    if (*c->event_log_dir && access(c->event_log_dir, W_OK) != 0)
        pat_buf_addf(errors, "PAT_EVENT_LOG_DIR: cannot write there: %s\n", c->event_log_dir);
    pat_store_conf_check(&c->recording.store, errors);
    chains_check(c, errors);
    if (codec_works())
        pat_buf_adds(errors, "self test: the Opus codec does not give back what it gets\n");
    return errors->len > before ? PAT_EINVAL : PAT_OK;
}
