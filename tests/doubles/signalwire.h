/* signalwire.h - the SignalWire double's inside: calls it places and how they walk through
 * documents.
 *
 * signalwire.c is the desk (control, placing, looking at calls), signalwire_fetch.c asks the
 * customer for documents and tells callbacks, signalwire_call.c plays the verbs.
 */
#ifndef DOUBLES_SIGNALWIRE_H
#define DOUBLES_SIGNALWIRE_H

#include "cxml_read.h"
#include "doubles.h"

#define SW_URL_MAX 2048
#define SW_HOSTS   8

struct sw_host {
    char name[128]; /* of the SIP address */
    char base[256]; /* where it is played: http://127.0.0.1:port */
};

struct sw_call;

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
};

enum sw_state { SW_ASKING, SW_PLAYING, SW_DIALING, SW_BRIDGED, SW_RECORDING, SW_ENDED };

struct sw_call {
    struct sw *sw;
    struct pat_id sid; /* SignalWire's ids are UUIDs */
    char from[64], to[64];
    enum sw_state state;
    struct pat_json *story; /* what happened, for GET /calls/{sid} */
    struct cxml_doc doc;
    int at; /* verb being played */
    bool fallback_used;
    int redirects;
    char url[SW_URL_MAX]; /* of the present document: what a Record without action asks again */
    /* a dialled leg */
    struct pat_id dial_sid;
    char sip_base[256];
    char dialog[128];
    char action[SW_URL_MAX];
    int64_t answered_ms;
    int64_t asked_ms;
    bool hung_up; /* the caller has */
    bool answered;
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

/* signalwire_call.c */
void sw_play(struct sw_call *c);
void sw_end(struct sw_call *c, const char *status);
void sw_hangup(struct sw_call *c); /* the caller hangs up */
void sw_on_timer(void *arg);
void sw_note(struct sw_call *c, const char *what, struct pat_json *detail);

#endif
