/* signalwire.h - the SignalWire double's inside: calls it places and how they walk through
 * documents.
 *
 * signalwire.c is the desk (control, placing, looking at calls), signalwire_rest.c the REST API,
 * signalwire_fetch.c asks the customer for documents and tells callbacks, signalwire_call.c plays
 * the verbs, signalwire_swml.c makes verbs of SWML's steps, signalwire_phone.c rings phones.
 */
#ifndef DOUBLES_SIGNALWIRE_H
#define DOUBLES_SIGNALWIRE_H

#include "cxml_read.h"
#include "doubles.h"
#include "media.h"

#define SW_URL_MAX 2048
#define SW_HOSTS   8
#define SW_PHONES  32

struct sw_host {
    char name[128]; /* of the SIP address */
    char base[256]; /* where it is played: http://127.0.0.1:port */
};

/* Somebody's phone, and what he does when it rings. */
struct sw_phone {
    char number[32];
    int status;      /* 200: answers; 486, 408 (nobody is there), 603 ... */
    int after_ms;    /* when he does so */
    char presses[8]; /* what he presses when asked for a key; "" : nothing */
};

struct sw_call;

/* A message that was taken. */
struct sw_recording {
    struct sw_recording *next;
    struct pat_id sid;
    char call_sid[PAT_ID_LEN + 1];
    int64_t at_ms; /* unix */
    int seconds;
};

struct sw {
    struct dbl *d;
    struct sw_call *calls;
    /* control */
    char voice_url[SW_URL_MAX];
    char fallback_url[SW_URL_MAX];
    char status_url[SW_URL_MAX];
    char signing_key[128];
    struct sw_host hosts[SW_HOSTS];
    int n_hosts;
    struct sw_phone phones[SW_PHONES];
    int n_phones;
    char project[64], token[64];     /* of the REST API */
    bool swml;                       /* the number's handler speaks SWML */
    bool twilio;                     /* ids, signature header and addresses as Twilio has them */
    char records[16];                /* what comes of a Record: signalwire.c */
    char mute[64];                   /* callbacks that get lost: "status", "recording", both */
    int media_fails;                 /* so many requests for a file are refused yet */
    struct sw_recording *recordings; /* the newest first */
    struct media_desk *voice;        /* Say's */
};

enum sw_state { SW_ASKING, SW_PLAYING, SW_DIALING, SW_BRIDGED, SW_RECORDING, SW_RINGING, SW_ENDED };
enum sw_direction { SW_INBOUND, SW_DIALED, SW_BY_API };
/* What a status callback was asked for. */
enum { SW_INITIATED = 1, SW_IS_RINGING = 2, SW_ANSWERED = 4, SW_COMPLETED = 8 };

struct sw_call {
    struct sw *sw;
    struct pat_id sid;       /* SignalWire's ids are UUIDs */
    char from[64], to[1024]; /* a SIP address has headers */
    enum sw_state state;
    enum sw_direction direction;
    struct sw_call *parent; /* who had this phone rung; NULL */
    struct sw_call *peer;   /* the phone being rung or spoken with; NULL */
    struct sw_phone phone;  /* of a phone's leg */
    char status_cb[SW_URL_MAX];
    unsigned status_events;
    char answer_url[SW_URL_MAX]; /* of a phone's leg: asked for when somebody answers */
    bool swml;
    struct pat_json *vars;   /* SWML's */
    char leg_cb[SW_URL_MAX]; /* told of the dialled SIP leg; of its end by SWML only */
    unsigned leg_events;     /* which */
    struct pat_json *story;  /* what happened, for GET /calls/{sid} */
    struct cxml_doc doc;
    int at; /* verb being played */
    bool fallback_used;
    int redirects;
    char url[SW_URL_MAX]; /* of the present document: what a Record without action asks again */
    /* a dialled leg */
    struct pat_id dial_sid;
    char dial_to[64];     /* as far as it goes */
    char dial_status[16]; /* once it is over: of the REST API */
    int dial_code;
    int64_t dial_at_ms; /* unix */
    char sip_base[256];
    char dialog[128];
    char action[SW_URL_MAX];
    int64_t answered_ms;
    int64_t asked_ms;
    int64_t began_at_ms, ended_at_ms; /* unix */
    bool hung_up;                     /* the caller has */
    bool answered;
    char media[MEDIA_TO_MAX]; /* where the caller hears; "": nowhere, and Say takes no time */
    struct media *said;
    int sequence;
    pat_http_id http; /* request under way */
    struct pat_timer timer;
    struct sw_call *next;
};

/* One form field list, at most this many. */
#define SW_FIELDS 32
struct sw_form {
    struct pat_param fields[SW_FIELDS];
    size_t n;
};
void sw_form_add(struct sw_form *f, const char *name, const char *value);
void sw_form_call(struct sw_form *f, const struct sw_call *c, const char *status);

/* signalwire_fetch.c. Documents: 2 s to connect, 5 s to answer (or as the address's fragment says),
 * no repetition, then the fallback address once. Ends in sw_play or sw_end. */
void sw_fetch(struct sw_call *c, const char *url, const struct sw_form *f);
/* A status callback: three tries, nobody waits for it. */
void sw_tell(struct sw_call *c, const char *url, const struct sw_form *f);
void sw_tell_json(struct sw_call *c, const char *url, const struct pat_json *body);

/* signalwire_phone.c: phones that are rung, by Dial or by the REST API. */
void sw_phone_ring(struct sw_call *c, int64_t timeout_ms);
void sw_phone_timer(struct sw_call *c);
/* Tells whoever asked for this event of a phone's leg. */
void sw_phone_tell(struct sw_call *c, unsigned event, const char *status);
unsigned sw_phone_events(const char *names);
/* The caller and the one who answered speak with each other. */
void sw_phone_bridge(struct sw_call *c);

/* signalwire_out.c: new calls to a SIP address, which is told the name and password. */
struct sw_auth {
    char user[64], password[64];
};
void sw_out_ring(struct sw_call *c, const struct sw_auth *auth, int64_t timeout_ms);
void sw_out_ended(struct sw_call *c);

/* signalwire_swml.c: SWML's steps as the verbs that do the same. */
int sw_swml_read(struct cxml_doc *doc, const char *text, size_t len) PAT_MUST_CHECK;
/* The body of a SWML request, yours. */
char *sw_swml_body(const struct sw_call *c);
void sw_swml_set(struct sw_call *c, const char *name, const char *value);
/* An event of SWML to url; nobody waits. */
void sw_swml_tell(struct sw_call *c, const char *url, const char *type, struct pat_json *params);

/* signalwire_files.c: recordings in the REST API. */
int sw_files_routes(struct sw *sw) PAT_MUST_CHECK;
void sw_files_free(struct sw *sw);
/* A new one, of this call; NULL: out of memory. url gets its address as callbacks tell it. */
const struct sw_recording *sw_record(struct sw_call *c, int seconds, char url[SW_URL_MAX]);
/* An id as this carrier makes them: kind "CA", "RE" for Twilio's. */
struct pat_id sw_id(const struct sw *sw, const char *kind);
/* RFC 5322, 3.3, in UTC. */
void sw_date(int64_t unix_ms, char out[40]);
bool sw_muted(const struct sw *sw, const char *what);
/* True: it has replied. */
bool sw_turned_away(struct sw *sw, struct pat_httpd_req *r);
void sw_refuse(struct pat_httpd_req *r, int status, const char *code, const char *message);

/* signalwire_rest.c */
int sw_rest_routes(struct sw *sw) PAT_MUST_CHECK;

/* signalwire.c */
struct sw_call *sw_call_new(struct sw *sw, const char *from, const char *to);
struct sw_call *sw_find(const struct sw *sw, const char *sid);
const char *sw_state_name(const struct sw_call *c);

/* signalwire_call.c */
/* The dialled leg is over: the parent's document goes on. */
void sw_leg_over(struct sw_call *c, const char *status, int sip_code);
/* By the REST API: what is going on is dropped, url is asked. */
void sw_redirect(struct sw_call *c, const char *url);
void sw_api_end(struct sw_call *c);
void sw_play(struct sw_call *c);
void sw_end(struct sw_call *c, const char *status);
void sw_hangup(struct sw_call *c); /* the caller hangs up */
void sw_on_timer(void *arg);
void sw_note(struct sw_call *c, const char *what, struct pat_json *detail);

#endif
