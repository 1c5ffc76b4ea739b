/* reply.h - one answer on its way: model -> sentences -> voice -> player, all at once.
 *
 * The first sentence is spoken while the model still writes the second. Sentences are given to the
 * synthesiser only a few seconds ahead of what is heard: memory stays small, and what is never
 * heard is not paid for. It knows at any time which words have been heard.
 * Life: reply_think or reply_say -> made or failed -> reply_free (at any time: the rest is
 * forgotten, nothing of it calls back). Thread: the loop's.
 */
#ifndef CALL_REPLY_H
#define CALL_REPLY_H

#include "../speech/llm.h"
#include "mouth.h"
#include "player.h"

struct reply;

struct reply_events {
    /* Last one. All sound is with the player. sounds: there is any. */
    void (*made)(bool sounds, void *arg);
    /* Last one. Nothing, or not all of it, could be made. sounds: some of it is with the player. */
    void (*failed)(bool sounds, void *arg);
    /* The model has stopped to call tools (reply_calls). The reply is not over: reply_go_on,
     * reply_add and reply_end say how it goes on. NULL: their calls are as good as not made. */
    void (*tools)(void *arg);
    /* A run of a model came to its end (there may be several in a reply): what it used. May be
     * NULL. */
    void (*used)(const char *model, const struct llm_usage *u, void *arg);
    /* A language model failed; another may go on. May be NULL. */
    void (*provider_failed)(const struct provider_failure *f, void *arg);
};

/* A tool the model wants called. */
struct reply_call {
    char *id, *name, *arguments;
};

struct reply_opts {
    struct mouth *mouth; /* NULL: phrases only */
    struct player *player;
    const struct reply_events *events;
    void *arg;
    const char *language; /* of the sentences, "de-DE"; NULL: any. Borrowed for the reply's life */
};

/* Times in µs of pat_now_us; 0: has not happened. */
struct reply_times {
    int64_t asked_us;    /* the model */
    int64_t token_us;    /* its first word */
    int64_t sentence_us; /* the first sentence was whole, and went to the voice */
    int64_t sound_us;    /* its first sample came */
    int64_t voiced_us;   /* the first audible packet left */
};

int reply_think(struct reply **out, const struct reply_opts *o, struct llm *llm,
                const struct llm_req *req) PAT_MUST_CHECK;
/* A fixed text; known: its phrase, or NULL (then it is synthesised; keep: and cached). */
int reply_say(struct reply **out, const struct reply_opts *o, const char *text,
              struct phrase *known, bool keep) PAT_MUST_CHECK;
/* A text that is being synthesised already, under utterance: its sound comes as of any other. */
int reply_join(struct reply **out, const struct reply_opts *o, const char *text,
               uint32_t utterance) PAT_MUST_CHECK;
/* As if a model had stopped at once to call this tool: reply_calls, and reply_go_on and the others
 * say how it goes on. */
int reply_call_tool(struct reply **out, const struct reply_opts *o, const char *name,
                    const char *arguments) PAT_MUST_CHECK;
void reply_free(struct reply *r);

bool reply_has_text(const struct reply *r);
/* What the model called when it stopped last; borrowed until the reply goes on. */
const struct reply_call *reply_calls(const struct reply *r, size_t *n);
/* The model is asked again, with the tools' results among the messages. */
int reply_go_on(struct reply *r, struct llm *llm, const struct llm_req *req) PAT_MUST_CHECK;
/* A sentence of ours behind what there is; kept in the phrase cache. */
int reply_add(struct reply *r, const char *text) PAT_MUST_CHECK;
/* Nothing follows: made or failed may be told at once. */
void reply_end(struct reply *r);

/* The mouth's and the player's news, by whoever listens to them. */
void reply_audio(struct reply *r, uint32_t utterance, const int16_t *samples, size_t n);
void reply_packet(struct reply *r, uint32_t utterance, const uint8_t *opus, size_t len, int level);
void reply_aligned(struct reply *r, uint32_t utterance, const char *text, size_t len, int start_ms,
                   int end_ms);
void reply_spoken_for(struct reply *r, uint32_t utterance, int err); /* mouth: done */
void reply_voiced(struct reply *r, uint32_t piece);
void reply_played(struct reply *r, uint32_t piece);
/* Now and then: more may be given to the voice. */
void reply_tick(struct reply *r);

/* What has been heard by now, and all that was meant to be. Adds to out. */
void reply_heard(const struct reply *r, struct pat_buf *out);
void reply_text(const struct reply *r, struct pat_buf *out);
bool reply_written(const struct reply *r); /* all of its text is known */
int64_t reply_heard_ms(const struct reply *r);
const struct reply_times *reply_times(const struct reply *r);
const struct llm_usage *reply_usage(const struct reply *r);
const char *reply_model(const struct reply *r);    /* "" : none answered */
const char *reply_provider(const struct reply *r); /* likewise */
/* A model is being asked, or writes: which; false: none. Until the next callback. */
bool reply_asks(const struct reply *r, const char **account, const char **model);
/* No language model could write it, or not to its end. */
bool reply_unwritten(const struct reply *r);

#endif
