/* speech_it.h - what the providers' clients are tested on: a loop, and the doubles' control API.
 *
 * The doubles' ports come by the environment: PAT_TEST_DEEPGRAM, _OPENAI, _ELEVENLABS, _CONTROL
 * (see tests/integration/test_speech_clients.py). Every wait has a deadline.
 */
#ifndef SPEECH_IT_H
#define SPEECH_IT_H

#include "pat.h"
#include "provider.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct stand {
    struct pat_loop *loop;
    struct pat_net *net;
    struct pat_http *http;
    bool net_closed;
};

struct stand *stand_up(void);
/* Fails the test when anything was left open. */
void stand_down(struct stand *s);
/* Turns the loop until *flag; fails the test after ms. */
void stand_wait(struct stand *s, const bool *flag, int64_t ms);
void stand_pass(struct stand *s, int64_t ms); /* turns it for so long */
/* POST /control/<vendor>; vendors are reset by stand_up. */
void stand_control(struct stand *s, const char *vendor, const char *json);
/* "http://127.0.0.1:<port><path>" of a vendor; a static buffer per call site's vendor. */
const char *stand_url(const char *scheme, const char *vendor, const char *path, char out[100]);

/* A chain of the doubles: "openai:gpt-4o-mini,openai-2:gpt-6-luna"; key for Deepgram,
 * ElevenLabs and the model, "key" for second accounts and OpenAI's voices. */
struct providers *stand_chain(enum provider_part part, const char *list, const char *key);

int run_stt_tests(void);
int run_llm_tests(void);
int run_tts_tests(void);

#endif
