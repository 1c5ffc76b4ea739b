/* people.h - who is in the room, as the server tells it.
 *
 * Pure but for memory. Updates carry a version per participant sid: older ones are dropped. The
 * table is bounded; what does not fit is ignored. Across a full reconnect it is marked stale and
 * swept afterwards, so that those who left meanwhile are told as gone.
 */
#ifndef RTC_PEOPLE_H
#define RTC_PEOPLE_H

#include "rtc.h"

#define PEOPLE_MAX    128
#define PEOPLE_TRACKS 8  /* remembered per person */
#define PEOPLE_ATTRS  64 /* per person */

struct Livekit__ParticipantInfo;

struct person_attr {
    char *name;
    char *value;
};

struct person {
    char *sid;
    char *identity;
    char *name;
    enum rtc_kind kind;
    uint32_t version;
    uint32_t last_sequence; /* of their reliable data packets */
    bool stale;
    char tracks[PEOPLE_TRACKS][64];
    size_t n_tracks;
    struct person_attr attrs[PEOPLE_ATTRS];
    size_t n_attrs;
};

struct people {
    struct person *list[PEOPLE_MAX];
    size_t n;
    uint32_t generation; /* changes with every accepted update */
};

/* Both may be NULL: nothing is told. */
struct people_events {
    void (*participant)(const struct rtc_participant *p, void *arg);
    void (*attribute)(const struct rtc_participant *p, const char *name, const char *value,
                      void *arg);
};

void people_fini(struct people *p);
int people_update(struct people *p, const struct Livekit__ParticipantInfo *info,
                  const struct people_events *ev, void *arg);
/* Tells everybody with their attributes. */
void people_tell(const struct people *p, const struct people_events *ev, void *arg);
void people_mark_stale(struct people *p);
void people_sweep(struct people *p, const struct people_events *ev, void *arg);
struct person *people_by_sid(const struct people *p, const char *sid);
struct person *people_by_identity(const struct people *p, const char *identity);
struct person *people_by_track(const struct people *p, const char *track_sid);
struct rtc_participant person_view(const struct person *p);

#endif
