/* doubles.h - what the vendor doubles share: a desk per vendor, scripted by the control API.
 *
 * One program plays every vendor, each on a port of its own. To add one: write vendor.c with a
 * struct dbl_vendor, name it in main.c's table and in CMakeLists.txt. A desk has a latency, a
 * scripted failure, a scripted disconnect and a log of what it received; its vendor decides where
 * they apply and may take keys of its own from the control body.
 *
 * Control API, on the control port (JSON):
 *   GET    /control                      {"ports":{"control":n,"openai":n,...}}
 *   POST   /control/{vendor}             any of the keys below; unknown keys are an error
 *     "reset": true                      back to the defaults, log emptied; before all other keys
 *     "latency_ms": 250                  before each answer (what it measures from: the vendor's)
 *     "key": "sk-1"                      the only key taken; null: any that does not start with
 *                                        "bad"
 *     "bills": [{"day":"2026-11-20", "amount":1.25}]  what that day cost (bills.h)
 *     "fail": {"status":429, "times":1, "after":0, "code":"..", "type":"..", "message":"..",
 *              "retry_after_ms":500, "path":"/part/of/it"}   times -1: until reset; null: none
 *     "cut":  {"times":1, "after":3, "code":1011, "reason":".."}  a stream is broken off after so
 *              many messages; code 0: without a close frame
 *   GET    /control/{vendor}/log?since=n {"entries":[{"seq","at_ms","kind",...}],"next":n}
 *   DELETE /control/{vendor}/log
 *
 * Thread: the loop's.
 */
#ifndef DOUBLES_H
#define DOUBLES_H

#include "pat.h"

struct dbl;

struct dbl_vendor {
    const char *name; /* lower case: in the control paths, the port file, PAT_DOUBLES_<NAME>_PORT */
    /* Adds routes to d->server and sets d->state. */
    int (*start)(struct dbl *d);
    /* The vendor's own control keys: true when it knows key. May be NULL. */
    bool (*control)(struct dbl *d, const char *key, const struct pat_json *value);
    /* Back to the defaults. May be NULL. */
    void (*reset)(struct dbl *d);
    /* Frees d->state; connections may still be closing: their events come no more. */
    void (*stop)(struct dbl *d);
};

struct dbl_fail {
    int status; /* 0: nothing scripted */
    int times;  /* left; negative: for ever */
    int after;  /* so many succeed first */
    int64_t retry_after_ms;
    char code[64], type[64], message[200], path[100];
};

struct dbl_cut {
    int times;
    int after; /* messages */
    int code;  /* 0: the connection is dropped */
    char reason[100];
};

struct dbl_entry;
struct dbl_later;
struct doubles;

struct dbl {
    const struct dbl_vendor *vendor;
    struct doubles *all;
    struct pat_loop *loop;
    struct pat_net *net;
    struct pat_http *http;
    struct pat_httpd *server;
    int port;
    void *state;

    int64_t latency_ms;
    char key[100];
    struct dbl_fail fail;
    struct dbl_cut cut;
    struct pat_json *bills; /* bills.h; NULL: none */
    /* inside */
    struct dbl_entry *first, *last;
    size_t n_entries;
    int64_t next_seq;
    struct dbl_later *later;
};

/* The other desk's port (0: no such vendor), for vendors that call each other's customers. */
int dbl_port(const struct dbl *d, const char *vendor);

/* Adds to the log; takes detail (may be NULL), whose keys become the entry's. */
void dbl_log(struct dbl *d, const char *kind, struct pat_json *detail);
bool dbl_key_ok(const struct dbl *d, const char *key);
/* A failure is due for this path: copied, counted down. */
bool dbl_fail_take(struct dbl *d, const char *path, struct dbl_fail *out);
/* A disconnect is due on a stream that had so many messages. */
bool dbl_cut_take(struct dbl *d, int messages, struct dbl_cut *out);

/* fn(arg) after ms (0: in the next turn). When the program ends first, drop(arg) instead. */
int dbl_after(struct dbl *d, int64_t ms, pat_loop_fn *fn, pat_loop_fn *drop, void *arg);

/* Replies with status and body, which is taken and freed; Retry-After headers when f has them. */
void dbl_reply(struct pat_httpd_req *r, int status, struct pat_json *body);
/* A value set in a new object, for short JSON: dbl_obj("type", "Metadata"). */
struct pat_json *dbl_obj(const char *key, const char *value);
/* A control value: true only for JSON's true. */
bool dbl_flag(const struct pat_json *v);
/* Sends j as one text message and frees it. */
void dbl_send(struct pat_ws *ws, struct pat_json *j);

/* control.c, for main.c */
int dbl_control_routes(struct doubles *all, struct pat_httpd *s);
void dbl_defaults(struct dbl *d);
void dbl_forget(struct dbl *d); /* log and pending work */
struct dbl *dbl_find(struct doubles *all, const char *vendor);
size_t dbl_count(const struct doubles *all);
struct dbl *dbl_at(struct doubles *all, size_t i);
int dbl_control_port(const struct doubles *all);

#endif
