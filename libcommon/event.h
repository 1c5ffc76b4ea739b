/* event.h - what Patchbay says happened: CloudEvents 1.0 in JSON, on
 * pat.<area>.v1.<event>.<user>.<key>.
 *
 * docs/events has the catalogue and a schema per event. The event's id is its Nats-Msg-Id and its
 * key in patchbay.call_events and patchbay.outbox, so that each is stored once however often it
 * travels.
 */
#ifndef PAT_EVENT_H
#define PAT_EVENT_H

#include "id.h"
#include "json.h"

#define PAT_SUBJECT_MAX 256
/* NATS takes 1 MiB with headers by default. */
#define PAT_EVENT_MAX ((size_t)(1 << 20) - 4096)

struct pat_event {
    const char *area;    /* "call" */
    const char *name;    /* "routed" */
    const char *user_id; /* NULL or "": "-" in the subject (an unassigned number) */
    const char *key;     /* the call's, config's, switch's id */
    const char *source;  /* "/patchbay/router" */
    int64_t time_ms;     /* unix; 0: now */
    /* The event's id, for one that must be told once however often it is said; NULL: a new one. */
    const struct pat_id *id;
};

/* One token of a subject: dots, blanks, wildcards, controls and what is not ASCII become "_"; empty
 * or NULL becomes "-". */
void pat_subject_token(char *out, size_t cap, const char *s);
int pat_event_subject(const struct pat_event *e, char out[PAT_SUBJECT_MAX]) PAT_MUST_CHECK;

/* The envelope around data (taken over, also on failure), as text:
 * {"specversion":"1.0","id","source","type":
 * "pat.<area>.v1.<event>","subject":key,"time","datacontenttype":"application/json","userid","data":{...}}.
 */
struct pat_event_text {
    struct pat_id id;
    char subject[PAT_SUBJECT_MAX];
    char *json; /* free with pat_event_text_fini */
    size_t len;
};
int pat_event_make(struct pat_event_text *out, const struct pat_event *e,
                   struct pat_json *data_take) PAT_MUST_CHECK;
/* The same with data as text: a well-formed JSON object. */
int pat_event_make_text(struct pat_event_text *out, const struct pat_event *e,
                        const char *data) PAT_MUST_CHECK;
void pat_event_text_fini(struct pat_event_text *t);

/* The id of an event that is told once: the same for the same key and what, in the shape of a
 * version 8 UUID (RFC 9562, section 5.8) over their SHA-256. */
struct pat_id pat_event_id_once(const char *key, const char *what);

/* Reads an envelope: checks specversion, id, type; the tree is yours. */
int pat_event_parse(struct pat_json **out, const char *text, size_t len,
                    struct pat_json_err *err) PAT_MUST_CHECK;

/* CALL, CONFIG, HEALTH, SWITCH, TURN, USAGE, VOICE, WEBHOOK: ensured at start by whoever publishes
 * into them. */
struct pat_event_stream {
    const char *name;
    const char *config_json;
};
extern const struct pat_event_stream pat_event_streams[];
extern const size_t pat_event_streams_n;

#endif
