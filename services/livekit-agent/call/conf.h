/* conf.h - the daemon's settings; conf.c has the table that documents them (--help). */
#ifndef CALL_CONF_H
#define CALL_CONF_H

#include "pat.h"

/* Of recordings; without a store there are none. */
struct record_conf {
    struct pat_store_conf store;
    char *whose, *notice;
    int64_t piece_ms, quiet_ms, memory;
};

struct agent_conf {
    struct record_conf recording;
    char *livekit_url, *livekit_key, *livekit_secret, *agent_name, *call_secret;
    char *deepgram_url, *deepgram_key, *deepgram_model, *turn_detection;
    char *openai_url, *openai_key, *openai_models, *openai_tts_model;
    char *elevenlabs_url, *elevenlabs_key, *elevenlabs_model;
    char *machine, *machine_message;
    char *stt_chain, *llm_chain, *tts_chain;
    struct {
        char *url, *key; /* NULL or "": that of the first */
    } second[3];         /* deepgram-2, elevenlabs-2, openai-2 */
    char *transfer_countries, *time_zone, *transfer_by, *refer_uri, *hold_sound;
    bool tool_private_nets;
    int64_t max_tool_calls, max_call_tokens, max_call_cents;
    char *voice_fallback, *event_log_dir, *spool_file;
    int64_t idle_ms, idle_prompts, connect_ms, hedge_ms, dtmf_pause_ms, max_calls, max_call_ms,
        first_token_ms, handover_ms, reap_grace_ms, reap_ms, refused_ms, probe_ms, wait_ms,
        wait_more_ms;
    int64_t phrase_cache_bytes, phrase_disk_bytes, realtime;
    char *phrase_dir, *ambient_dir;
    bool elevenlabs_opus;
};

extern const struct pat_conf_row agent_rows[];
extern const size_t agent_rows_n;
/* What needs several settings, and the self test of the codec. */
int agent_conf_check(const void *conf, struct pat_buf *errors);

#endif
