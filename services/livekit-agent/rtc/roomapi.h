/* roomapi.h - LiveKit's server API (Twirp, protobuf) as far as a call needs it.
 *
 * Each call signs its own ten-minute token. done runs once, on the loop. PAT_ENOENT: no such room
 * or participant; PAT_EAUTH; PAT_ETIMEDOUT; PAT_ECONN; PAT_EUPSTREAM with Twirp's message logged.
 */
#ifndef RTC_ROOMAPI_H
#define RTC_ROOMAPI_H

#include "pat.h"
#include "rtc.h"

struct roomapi;
typedef void roomapi_fn(int err, void *arg);

int roomapi_new(struct roomapi **out, struct pat_http *http, const char *url, const char *api_key,
                const char *api_secret) PAT_MUST_CHECK;
void roomapi_free(struct roomapi *a);
/* Creates the room (or finds it) and, when it is new, dispatches agent_name with metadata. */
struct roomapi_room {
    const char *name;
    const char *metadata;
    const char *agent_name;
    int empty_timeout_s;
    int departure_timeout_s;
};
int roomapi_create(struct roomapi *a, const struct roomapi_room *room, int64_t timeout_ms,
                   roomapi_fn *done, void *arg) PAT_MUST_CHECK;
int roomapi_dispatch(struct roomapi *a, const char *room, const char *agent_name,
                     const char *metadata, int64_t timeout_ms, roomapi_fn *done,
                     void *arg) PAT_MUST_CHECK;
int roomapi_delete(struct roomapi *a, const char *room, int64_t timeout_ms, roomapi_fn *done,
                   void *arg) PAT_MUST_CHECK;
int roomapi_remove(struct roomapi *a, const char *room, const char *identity, int64_t timeout_ms,
                   roomapi_fn *done, void *arg) PAT_MUST_CHECK;
/* Sends a telephone of the room elsewhere by SIP REFER (TransferSIPParticipant): to is a tel: or
 * sip: URI. The answer comes when somebody there has answered or not, at the latest after ringing_s
 * and a little. PAT_OK: moved, and about to leave the room. PAT_ETIMEDOUT: not known; who has been
 * moved leaves the room. Else it stays; sip_status says why, 0: nobody said. */
struct roomapi_refer {
    const char *room, *identity, *to;
    int ringing_s; /* at least 1 */
};
typedef void roomapi_refer_fn(int err, int sip_status, void *arg);
typedef uint64_t roomapi_id;
int roomapi_refer(struct roomapi *a, const struct roomapi_refer *x, roomapi_refer_fn *done,
                  void *arg, roomapi_id *id) PAT_MUST_CHECK;
/* done will not run. What was asked for may happen all the same. */
void roomapi_cancel(struct roomapi *a, roomapi_id id);

/* What the server has. Lists are borrowed until fn returns; they may lag by a second or two. */
struct roomapi_listed {
    const char *name;
    unsigned people; /* as the server counts them */
};
typedef void roomapi_rooms_fn(int err, const struct roomapi_listed *rooms, size_t n, void *arg);
/* Of all that use this server's keys, not only ours. */
int roomapi_rooms(struct roomapi *a, int64_t timeout_ms, roomapi_rooms_fn *fn,
                  void *arg) PAT_MUST_CHECK;

struct roomapi_person {
    const char *identity;
    enum rtc_kind kind;
    int64_t joined_ms;          /* unix, in whole seconds; 0: not told */
    const char *const *details; /* attributes: name, value, name, ... */
    size_t n_details;           /* of both together */
};
/* "" when there is none of that name. */
const char *roomapi_detail(const struct roomapi_person *p, const char *name);
typedef void roomapi_people_fn(int err, const struct roomapi_person *people, size_t n, void *arg);
int roomapi_people(struct roomapi *a, const char *room, int64_t timeout_ms, roomapi_people_fn *fn,
                   void *arg) PAT_MUST_CHECK;

/* A token to join room as identity, of kind "agent" (claims of LiveKit's access tokens). Yours to
 * free. */
char *roomapi_token(struct roomapi *a, const char *room, const char *identity,
                    int64_t ttl_s) PAT_MUST_CHECK;

#endif
