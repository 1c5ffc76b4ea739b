/* turn.h - whose turn it is: the decisions of a conversation, as a pure state machine.
 *
 * (state, event, options) -> (state, actions). No clock, no sound, no network: times come in with
 * the events, and what must happen later is a time the machine wants to be woken at. The same
 * events give the same actions, so a recorded log can be played again.
 *
 *   starting --ready--> thinking --sounding--> speaking --spoken--> listening
 *   listening --end of turn, delay open--> maybe-done --delay over--> thinking
 *   speaking --voice long enough--> interrupted --words--> listening   (the reply is cut)
 *                                   interrupted --no words--> speaking (where it stopped)
 *   any --gone, hang-up--> closing
 *
 * docs/turn-taking.md has it drawn, and every state, event and action in a table.
 *
 * One reply exists at a time. It may be made ahead of the decision that the caller has finished
 * (speculation); nothing of it is heard before TURN_PLAY. Thread: any, one at a time per machine.
 */
#ifndef CALL_TURN_H
#define CALL_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A new option is off when it is 0: logs recorded before it still replay. */
struct turn_opts {
    /* Silence after the caller's last voice until the turn is theirs no more: when they seem to
     * have finished, and when the sentence sounds open. */
    int32_t min_delay_ms, max_delay_ms;
    int32_t end_wait_ms;    /* ... and when the recogniser does not say that they have finished */
    int32_t barge_in_ms;    /* voice this long over ours pauses us */
    int32_t barge_in_words; /* words that make it a real interruption; 0: nothing does */
    int32_t false_ms;       /* silence without words after such a pause: we go on */
    int32_t backchannel_ms; /* the same when it was "mhm" or "okay" */
    int32_t boundary_ms;    /* said so shortly before our reply ends, that is an answer to it */
    int32_t noise_ms;       /* voice without words for this long is noise: we go on */
    int32_t guard_ms;       /* of the greeting: only guard_words cut it ("hello?" does not) */
    int32_t guard_words;
    int32_t think_ms; /* no sound of the reply for this long: apologise */
    int32_t voice_ms; /* the same for a text that is known: two voices may have to be tried */
    int32_t stall_ms; /* the reply stops in its middle for this long: it is over */
    int32_t unheard_voice_ms, unheard_ms; /* so much voice, then so long no word of it: ask again */
    int32_t unheard_max;                  /* so often; then it is noise */
    int32_t speculate_max;                /* replies made in a turn before its end is certain */
    int32_t idle_ms;        /* nobody says anything for so long: are they still there? */
    int32_t idle_max;       /* asked so often; then goodbye */
    int32_t asked_delay_ms; /* in the place of min_delay_ms after a whole question */
    /* Nothing heard of us so long after the caller's last word: a word in the reply's place, at the
     * earliest so long after the turn was ours; and so long after that word: apologise. */
    int32_t wait_ms, wait_least_ms, wait_more_ms;
};

/* By name, for logs; in the order of the struct. */
struct turn_opt {
    const char *name;
    size_t offset; /* of an int32_t */
};
extern const struct turn_opt turn_opt_list[];
extern const size_t turn_opt_n;

/* From the two sliders users have, each 0..1. */
struct turn_opts turn_opts_for(double responsiveness, double interruption_sensitivity);

enum turn_state {
    TURN_STARTING,
    TURN_LISTENING,
    TURN_MAYBE_DONE,
    TURN_THINKING,
    TURN_SPEAKING,
    TURN_INTERRUPTED,
    TURN_CLOSING,
    TURN_STATES
};

enum turn_event_kind {
    TURN_READY, /* the caller can hear us. n: 1 greet, 0 just listen, -1 apologise and leave */
    TURN_VOICE_START, /* at_us: when the voice began (in the past) */
    TURN_VOICE_STOP,  /* at_us: end of the last voiced packet (in the past) */
    TURN_PARTIAL,     /* n: words of the stretch; soft: further ones, "mhm" or "okay" */
    TURN_FINAL, /* as above; end: the recogniser saw a pause; open: unfinished; asked: a question */
    TURN_UTTERANCE_END,
    TURN_EAGER,        /* as TURN_PARTIAL: and the turn is probably over */
    TURN_RESUMED,      /* it was not */
    TURN_TYPED,        /* a whole turn by text; n words */
    TURN_REPLY_DONE,   /* reply: all of its sound has been made. n: 0 when there is none */
    TURN_REPLY_FAILED, /* reply: no more will come, and that was not all */
    TURN_SOUNDING,     /* reply: sound of it is being sent (first, or again) */
    TURN_SPOKEN,       /* reply: everything made so far has been sent */
    TURN_WAKE,         /* the time asked for has come */
    TURN_SAY,          /* a text of our own. n: 0 now, 1 when this reply is spoken; firm */
    TURN_HANG_UP,      /* our own wish. n: 0 now, 1 when this reply is spoken, 2 with a goodbye */
    TURN_GONE,         /* the caller left, or the room did */
    TURN_WORKING,      /* reply: tools are at work for it, for n ms at most; 0: they are done */
    TURN_PATIENCE,     /* from now on a turn is over after n ms of silence; 0: as usual again */
    TURN_WAITED, /* reply: a word of n ms is said in its place; -n: it is asked for in n ms again */
    TURN_EVENTS
};

struct turn_event {
    enum turn_event_kind kind;
    int64_t now_us;
    int64_t at_us;  /* 0: now */
    uint32_t reply; /* which reply the event is about */
    int32_t n;
    int32_t soft;
    bool end;
    bool open;
    bool asked;   /* a whole question */
    bool changed; /* the turn's words are not the ones the reply in the making answers */
    bool firm;    /* nobody interrupts it */
};

enum turn_action {
    TURN_GREET = 1, /* make the greeting: the state's reply */
    TURN_THINK,     /* make a reply to what was said, but keep it back */
    TURN_COMMIT,    /* what was said is the caller's turn: it enters the history */
    TURN_PLAY,      /* let the reply be heard (again) */
    TURN_PAUSE,     /* silence within one packet, nothing lost */
    TURN_CUT,       /* forget the rest of the reply; history keeps what was heard */
    TURN_FORGET,    /* the words so far were no turn ("mhm" while we spoke) */
    TURN_FLUSH,     /* ask the recogniser for what it still holds */
    TURN_SORRY,     /* say that something went wrong: the state's reply */
    TURN_BYE,       /* say goodbye: the state's reply */
    TURN_HELLO,     /* in the place of a greeting that could not be made: the state's reply */
    TURN_ANNOUNCE,  /* the oldest text of TURN_SAY: the state's reply */
    TURN_IDLE,      /* ask whether they are still there; leaving: say goodbye to nobody */
    TURN_LEAVE,     /* hang up now */
    TURN_WAIT,      /* nothing was heard for too long: a word in the reply's place (TURN_WAITED) */
    TURN_ACTIONS
};

enum { TURN_MAX_ACTIONS = 6, TURN_SAY_MAX = 4 /* texts of our own that can wait */ };

struct turn_out {
    int n;
    enum turn_action act[TURN_MAX_ACTIONS];
};

/* Read freely; only turn_step writes. Times in µs, 0: none. */
struct turn {
    enum turn_state state;
    uint32_t reply;         /* the latest one's number; 0: none yet */
    bool have;              /* there is a reply, heard or not */
    bool making;            /* more sound of it may come */
    bool authorised;        /* it may be heard */
    bool voice;             /* the caller's voice is on */
    bool deaf;              /* that voice is noise until it stops */
    bool ended;             /* the recogniser says the turn is over */
    bool eager;             /* it says so, but not for certain */
    bool typed;             /* it came by text: there is no voice to wait for */
    bool open;              /* ... but the sentence sounds open */
    bool asked;             /* ... and was a question */
    bool flushed;           /* asked the recogniser to hurry, in this turn */
    bool dry;               /* everything made so far was sent */
    bool greeting;          /* the reply is the greeting */
    bool apology;           /* of our own: no apology when it fails */
    bool firm;              /* the reply is heard to its end */
    bool leaving;           /* close when the reply has been spoken */
    bool left;              /* TURN_LEAVE was given */
    uint8_t says, say_firm; /* texts that wait; bit n: the n-th is firm */
    uint8_t refused;        /* transitions that no table allows: a bug */
    int32_t words, soft;    /* frozen words of the turn so far; soft: "mhm" and "okay" */
    int32_t partial_words, partial_soft; /* of the stretch not yet frozen */
    int32_t answered_words;              /* of all kinds: what the reply in the making answers */
    int32_t thoughts;                    /* replies made ahead in this turn */
    int64_t voice_at_us, silent_at_us, word_at_us;
    int64_t sound_at_us;                            /* first sample of the reply */
    int64_t barge_us, turn_us, resume_us, watch_us; /* what we wait for */
    int64_t unheard_us;                             /* words of a voice that stopped */
    int64_t work_us;     /* until then the reply's silence is no fault: tools are at work */
    int32_t patience_ms; /* 0: the delays of the options */
    int32_t unheard;     /* asked again, without a word since */
    int64_t idle_us;     /* the silence has lasted too long then */
    int64_t wait_us;     /* and this one is ours */
    int32_t idled;       /* asked whether they are there, without a word since */
};

void turn_init(struct turn *t);
/* One event. WAKE before its time is fine. */
void turn_step(struct turn *t, const struct turn_opts *o, const struct turn_event *e,
               struct turn_out *out);
/* When it wants TURN_WAKE; 0: not at all. */
int64_t turn_wake_us(const struct turn *t);

/* "?" and the like: no such thing; by name: the kind, or -1. */
const char *turn_state_name(enum turn_state s);
const char *turn_event_name(enum turn_event_kind k);
const char *turn_action_name(enum turn_action a);
int turn_event_by_name(const char *name);

#endif
