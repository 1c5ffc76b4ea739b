/* fakes.h - a room, a recogniser, a model and a voice that do what the test says. Linked in place
 * of the real ones.
 */
#ifndef CALL_TEST_FAKES_H
#define CALL_TEST_FAKES_H

#include "../env.h"

#define FAKE_PACKETS 4000
#define FAKE_EVENTS  64

struct fake {
    struct pat_loop *loop;
    /* the room */
    const struct rtc_events *rtc;
    void *rtc_arg;
    bool in_room, media_down;
    int packets; /* sent by the call */
    struct {
        int64_t at_us;
        int level;
        bool marker;
    } packet[FAKE_PACKETS];
    int64_t samples; /* sent and skipped */
    int voiced;      /* packets that are not silence */
    int64_t last_voiced_us;
    char texts[4096]; /* text streams: "<topic>|<text>;" */
    char state[32];   /* lk.agent.state */
    char keys[80];    /* sent by the call */
    /* the recogniser */
    const struct stt_events *stt;
    void *stt_arg;
    bool judges;
    int stt_packets, stt_silence, finalized, stt_closed;
    /* the model */
    const struct llm_events *llm;
    void *llm_arg;
    int llm_runs, llm_canceled;
    char *messages;
    bool tools_listed, tools_off; /* of the latest run */
    /* the voice */
    const struct tts_events *tts;
    void *tts_arg;
    int tts_texts, tts_canceled;
    char tts_said[8192];
    bool tts_fails, tts_holds; /* holds: nothing comes until fake_voice */
    int ms_per_char;
    /* the server */
    int job_done, room_deleted;
    roomapi_refer_fn *referred;
    void *referred_arg;
    char refer_to[128], refer_whom[64];
    /* the journal */
    int events;
    struct {
        char name[32];
        char *data;
    } event[FAKE_EVENTS];
};

extern struct fake fake;

void fake_reset(struct pat_loop *l);
void fake_free(void);
/* One packet of 20 ms from the caller. */
void fake_packet(bool voiced);
/* n of them, in real time. */
void fake_speak(int packets, bool voiced);
void fake_heard(const char *text, bool is_final, bool speech_final);
void fake_eager(const char *text);
void fake_model(const char *text); /* a piece of the answer */
void fake_model_done(int err);
/* It calls a tool; more may follow, then fake_model_done. */
void fake_model_calls(const char *id, const char *name, const char *arguments);
/* What the voice holds back comes now. */
void fake_voice(void);
void fake_leave(enum rtc_left reason);
/* The last event's data of this name ("turn.user"); NULL: none. */
const char *fake_event(const char *name);
int fake_count(const char *name);
/* Turns the loop until *what, at most timeout_ms. */
bool fake_until(const bool *what, int timeout_ms);

#endif
