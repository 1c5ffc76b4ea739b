/* call_int.h - the inside of a call, shared by call*.c and nobody else.
 *
 *   call.c        life: made, told its context, ended, freed; timers
 *   call_room.c   what the room tells: who is there, can they hear us, what they send
 *   call_turn.c   events into the turn machine, its actions out
 *   call_hear.c   what the caller says: the ear's and the recogniser's news
 *   call_reply.c  replies: begun, heard, cut; the voice's and the player's news
 *   call_announce.c  texts of our own
 *   call_figures.c what a turn took and used
 *   call_usage.c  what the call uses, of whom, and its limit in money
 *   call_record.c what of it is recorded
 *   call_report.c events and usage
 *   call_resume.c going on with a call another agent has begun; whose it is
 *   call_dtmf.c   the telephone's keys, both ways
 *   call_tools.c  tools; its own inside is tool_int.h
 *   warm.c        somebody else takes the call over; its own inside is warm_int.h
 *   call_limits.c silence and time: how long a call may be
 *   call_machine.c the other end is an answering machine
 *   call_trouble.c  providers that fail, and what the caller hears then
 *   call_wait.c   nothing is heard of us for too long
 *   call_back.c   the caller was without us for a moment
 */
#ifndef CALL_INT_H
#define CALL_INT_H

#include "../speech/beep.h"
#include "call.h"
#include "call_tools.h"
#include "checkpoint.h"
#include "ear.h"
#include "history.h"
#include "machine.h"
#include "reply.h"
#include "transcript.h"
#include "turn.h"
#include "turn_log.h"
#include "usage.h"
#include "warm.h"

enum { CALL_QUEUE = 32 };
#define CALL_BUCKET "pat_calls" /* what agents leave for each other; docs/rpc.md */

/* One turn's moments, for its figures; µs, 0: unknown. */
struct turn_times {
    int64_t voiced_us; /* the caller's last voiced packet */
    int64_t final_us;  /* the recogniser's word that made us think */
    int64_t commit_us;
};

/* Keys pressed and not yet a turn; digits to be sent. */
struct call_dtmf {
    char in[32], out[64];
    size_t n_in, at_out;
    int tries;
    struct pat_timer in_timer, out_timer;
};

struct announcement {
    char *text; /* NULL: none */
    call_announced_fn *fn;
    void *arg;
};

/* Of the reply: what the caller hears until it comes. */
struct call_wait {
    uint32_t piece;        /* of the player: "one moment, please"; 0: not said */
    enum own_words prompt; /* the reply is this one; OWN_KEPT: it is none of ours */
    bool asked;            /* the voice, for that phrase */
};

/* A caller who is away, and comes back; µs, 0: not. */
struct call_back {
    int64_t away_us, here_us, active_us;
    bool redialled; /* the leg is another one */
};

/* What outlives us, and what we have of those before us. */
struct call_keep {
    bool dirty;            /* not all of it is written */
    struct saving *saving; /* a write on its way */
    struct pat_timer due;
    struct pat_json *saved; /* until there is a context to load it with */
    struct resume_plan plan;
    bool resumed;
    int waited;             /* for the caller to finish what we shall ask for again */
    char *heard_before;     /* of the reply we go on with */
    int64_t gap_ms;         /* since what we have of those before us */
    int64_t heard_since_us; /* the caller's leg; 0: we are the first who hear it */
    int64_t marked_us;      /* when the one before us wrote what we have of it */
    bool marked_sip;        /* it was a telephone then */
    unsigned hush;          /* CALL_HUSH_...: not a packet leaves */
    int64_t turn_print;     /* of what was last touched */
};

struct call {
    struct env *env;
    const struct call_events *ev;
    void *arg;
    char id[PAT_ID_LEN + 1];
    char job[64];
    char room_name[129];
    int epoch; /* fences us: goes with everything that acts on the call from outside the room */

    struct context *ctx; /* NULL: not known, or none */
    bool ctx_asked;      /* the answer about it is in */
    bool headers_told;
    struct context_headers headers;

    struct rtc_room *room; /* NULL: left */
    struct ear *ear;
    struct stt *stt;
    struct mouth *mouth;
    struct player *player;
    struct history *history;
    struct call_tools *tools;      /* NULL without a context */
    struct call_return *came_back; /* NULL: a call of its own */
    struct warm *warm;             /* NULL: nobody is being asked to take the call over */
    bool left_to_it;               /* somebody has: the room stays when we leave it */
    char stranger[129];            /* put out of the room last */
    struct transcript transcript;
    struct record *record;  /* NULL: it is not recorded */
    unsigned record_pauses; /* RECORD_PAUSE_... */

    struct turn turn;
    struct turn_opts turn_opts;
    struct turn_log *log;
    struct turn_event queue[CALL_QUEUE];
    size_t queued, handled;
    bool stepping;

    struct reply *reply;
    uint32_t reply_no;
    bool reply_answers; /* it answers a turn, and that turn's figures are of interest */
    bool reply_counted; /* they were reported */
    bool greet_waiting; /* for the voice to have prepared it */
    int failures;       /* replies in a row */
    int unwritten;      /* of them, by the language model */
    bool voice_down;    /* the last utterance could not be spoken */
    struct call_wait wait;
    struct call_back back;
    enum own_words bye;
    int64_t final_us;        /* the recogniser's latest word on a turn's end */
    struct turn_times times; /* of the turn the reply answers */

    char *answering;    /* the words it answers; NULL: none */
    size_t asked_bytes; /* given to the model for it */
    bool model_runs;

    struct announcement says[TURN_SAY_MAX], saying;
    size_t n_says;

    int taken_words;        /* of the stretch not frozen: they belong to a turn that is over */
    struct pat_buf said;    /* frozen words of the caller's turn */
    struct pat_buf partial; /* and those that may change */
    int64_t said_at_ms;
    int64_t partial_told_us;
    int turns;

    /* The caller. */
    char caller[129], caller_track[65];
    enum rtc_kind caller_kind;
    bool caller_here, caller_active, joined, subscribed, ready;
    int64_t active_us, subscribed_us, hears_us;

    struct call_keep keep;
    struct pat_timer wake, ready_timer, progress, limit, absent, ctx_timer, deaf;
    int64_t hearing_us; /* the recogniser is connected, since */
    struct pat_task gone;
    struct call_dtmf dtmf;
    pat_bus_id voicemail; /* asked for */
    bool gave_up, moving;
    struct machine machine;
    struct beep beep;
    bool machine_told;
    int limit_step; /* of the longest duration */
    const char *agent_state;

    int64_t began_us, began_ms; /* whoever began it */
    int64_t made_us;            /* here */
    int64_t answered_us;
    bool answered, ending, over, yielded;
    char reason[64];
    int64_t told_chars, told_saved; /* of the voice, in turns told already */
    int64_t prompt_tokens, cached_tokens, completion_tokens;
    struct usage used;      /* what is not counted elsewhere, and what those before us used */
    int segment;            /* of the call: how often the caller came into a room of ours */
    int64_t cost_looked_us; /* at what it costs */
    bool unpriced_told;
};

/* call.c */
void call_end(struct call *c, const char *reason);
void call_left(struct call *c); /* the room is behind us: tell whoever owns the call */
int call_open_speech(struct call *c);
/* The voice: what preparing has left, else its own, without a context the one for all. */
int call_open_mouth(struct call *c);
int64_t call_ms(const struct call *c); /* since it began */

/* call_sound.c */
void call_sound_settings(struct call *c); /* the context is known */
void call_sound_report(struct call *c);   /* at the end */

/* call_room.c */
extern const struct rtc_events call_rtc_events;
void call_check_ready(struct call *c);

/* call_turn.c */
void call_turn(struct call *c, struct turn_event e); /* kind and details; the time is set here */
void call_turn_kind(struct call *c, enum turn_event_kind kind, int32_t n);

/* call_hear.c */
extern const struct stt_events call_stt_events;
extern const struct ear_events call_ear_events;
char *call_all_said(const struct call *c); /* of the turn so far, frozen and not; yours to free */
void call_commit(struct call *c);
void call_forget(struct call *c);
struct stt_flux call_flux(const struct call *c); /* model NULL: the agent listens for pauses */
void call_turn_opts(struct call *c);             /* from the context and who listens */
void call_deaf(void *arg);                       /* the recogniser has been away for too long */

/* call_announce.c */
void call_announcement(struct call *c); /* TURN_ANNOUNCE */
void call_announced(struct call *c, bool whole);
void call_announce_end(struct call *c);
void call_announce_free(struct call *c); /* nobody is told any more */

/* call_reply.c */
extern const struct mouth_events call_mouth_events;
extern const struct player_events call_player_events;
extern const struct player_sink call_player_sink;
void call_think(struct call *c);
void call_greet(struct call *c);
/* Of our own words. */
const char *call_language(const struct call *c);
void call_say(struct call *c, enum own_words which);
/* A text of our own as the reply the turn machine has asked for. */
void call_say_text(struct call *c, const char *text);
/* A tool is called as if the model had asked for it in answer to what was said. */
void call_say_tool(struct call *c, const char *name, const char *arguments, const char *said);
/* What the model is asked, with these messages; borrowed. */
struct llm_req call_llm_req(const struct call *c, const struct pat_json *messages);
void call_open(struct call *c);
void call_reply_over(struct call *c, bool cut);
void call_tick(void *arg); /* while we speak */

/* call_limits.c */
/* The daemon's longest, or less where this call was given less. */
int64_t call_longest_ms(const struct call *c);
void call_limits_start(struct call *c);
void call_on_limit(void *call); /* the timer's */
void call_idle(struct call *c); /* TURN_IDLE */
/* "cost" in millionths of a dollar, or "tokens": with an event, and a goodbye that says so. */
void call_limit_reached(struct call *c, const char *what, int64_t used, int64_t max);

/* call_machine.c */
void call_machine_start(struct call *c);
void call_machine_voice(struct call *c, bool on);
void call_machine_words(struct call *c, const char *text);
void call_machine_sound(const int16_t *samples, int n, void *call);

/* call_dtmf.c */
int call_dtmf_init(struct call *c) PAT_MUST_CHECK;
void call_dtmf_stop(struct call *c);
void call_dtmf_fini(struct call *c);
void call_dtmf_digit(struct call *c, char digit);
/* A whole turn that was not spoken: keys, chat. */
void call_typed(struct call *c, const char *text, size_t len);

/* call_record.c */
bool call_recorded(const struct env *e, const struct context *ctx); /* will it be? */
void call_record_begin(struct call *c);
struct pat_json *call_record_save(const struct call *c); /* a part of the checkpoint */
void call_record_load(struct call *c, const struct pat_json *saved);
/* For as long as a reason holds; the events, and the attribute of our participant, say so. */
enum { RECORD_PAUSE_CODE = 1, RECORD_PAUSE_KEYS = 2 };
void call_record_pause(struct call *c, unsigned why);
void call_record_unpause(struct call *c, unsigned why);
void call_record_over(struct call *c); /* somebody else goes on when it was yielded */

/* tool_passcode.c: parts of the checkpoint */
struct pat_json *call_passcode_save(const struct call *c);
void call_passcode_load(struct call *c, const struct pat_json *saved);

/* call_trouble.c */
void call_provider_failed(const struct provider_failure *f, void *call);
void call_sorry(struct call *c); /* TURN_SORRY */
void call_leave(struct call *c); /* TURN_LEAVE */
/* The caller has left: to where we sent them. */
bool call_moved(const struct call *c);
/* We cannot serve the caller any more: the router's message service does, else a goodbye. */
void call_give_up(struct call *c, const char *reason);
void call_trouble_stop(struct call *c);

/* call_back.c */
void call_away(struct call *c); /* the line broke; they may come back */
bool call_is_away(const struct call *c);
void call_back_here(struct call *c);   /* in the room again ... */
void call_back_active(struct call *c); /* ... and their telephone is answered */
void call_back_redialled(struct call *c);
void call_back_look(struct call *c); /* now and then */
/* What to say instead of resume_plan.say; yours to free. NULL: that. */
char *call_back_rest(const struct call *c);

/* call_wait.c */
void call_wait(struct call *c);       /* TURN_WAIT */
void call_wait_reset(struct call *c); /* another reply begins, or none is left */
/* A piece of the player that is no part of the reply. */
bool call_wait_is(const struct call *c, uint32_t piece);

/* call_resume.c */
int call_resume_load(struct call *c); /* the context is there */
void call_resume(struct call *c);     /* the caller can hear us */
bool call_hushed(const struct call *c);
/* Another agent of this call. */
void call_meet(struct call *c, const struct rtc_participant *p);
/* Puts what the agent before us was heard saying in front of what we were. */
void call_resume_prepend(struct call *c, struct pat_buf *heard, struct pat_buf *text);
void call_touch(struct call *c); /* after a step of the turn machine */

/* call_figures.c */
void figures_observe(const struct call *c);
void figures_add(struct call *c, struct pat_json *data); /* of the turn just over; once */

/* call_report.c */
void report_taken_over(struct call *c, const char *state);
/* Any event about this call; data is taken over. */
void report_event(struct call *c, const char *area, const char *name, struct pat_json *data_take);
/* With a statement that belongs to it; NULL: none. */
void report_event_with(struct call *c, const char *area, const char *name,
                       struct pat_json *data_take, const struct pat_db_stmt *stmt);
void report_answered(struct call *c, int64_t greeting_ms);
void report_user(struct call *c, const char *text);
void report_partial(struct call *c, const char *text);
void report_agent(struct call *c, const char *text, const char *heard, bool cut);
void report_turn_figures(struct call *c);
/* Of which call something is told; also of one whose agents are all dead. */
struct report_whose {
    struct pat_journal *journal;
    const char *call_id;
    const char *user_id; /* NULL: nobody knows */
    int64_t began_ms;
};
/* What is told at most once: its id, and the event under it. */
struct pat_id report_id_of(const struct report_whose *whose, const char *what);
void report_once_of(const struct report_whose *whose, const char *area, const char *name,
                    const struct pat_id *id, struct pat_json *data_take,
                    const struct pat_db_stmt *stmt);
struct report_whose report_whose(const struct call *c);
struct pat_id report_id(const struct call *c, const char *what);
/* Of a call that we have given up nothing: whoever has it tells it. */
void report_once(struct call *c, const char *area, const char *name, const struct pat_id *id,
                 struct pat_json *data_take, const struct pat_db_stmt *stmt);

/* call_usage.c */
/* Of a recogniser and a voice, each or NULL, all of it so far: once. */
void call_usage_speech(struct usage *u, const struct stt *s, const struct mouth *m);
void call_used(const char *model, const struct llm_usage *u, void *call); /* reply_events.used */
/* For the router, before the caller's leg goes: why the call is over. */
void report_end(const struct call *c);
/* Where no carrier's leg says so: the call's row is closed by us. */
void report_web_end(struct call *c);
void report_usage(struct call *c);
void call_look_at_cost(struct call *c);                 /* now and then */
struct pat_json *call_usage_save(const struct call *c); /* a part of the checkpoint */
void call_usage_load(struct call *c, const struct pat_json *saved);

#endif
