/* roomapi_list.c - what rooms there are, and who is in one.
 *
 * How: the answer is decoded, handed on as plain arrays, and freed. An answer that is no protobuf
 * of the right kind (a proxy's page) is PAT_EPROTO.
 */
#include "livekit.pb-c.h"
#include "roomapi_int.h"

#include <stdlib.h>
#include <string.h>

#define LIST_MAX (8UL << 20) /* LiveKit's own limit of a body is 10 MiB */

static void read_rooms(int err, const char *data, size_t len, roomapi_any_fn *any, void *arg)
{
    roomapi_rooms_fn *fn = (roomapi_rooms_fn *)any;
    Livekit__ListRoomsResponse *m =
        err ? NULL : livekit__list_rooms_response__unpack(NULL, len, (const uint8_t *)data);
    struct roomapi_listed *rooms = m ? calloc(m->n_rooms + 1, sizeof *rooms) : NULL;

    for (size_t i = 0; rooms && i < m->n_rooms; i++)
        rooms[i] = (struct roomapi_listed){ m->rooms[i]->name, m->rooms[i]->num_participants };
    if (!err && !rooms)
        err = m ? PAT_ENOMEM : PAT_EPROTO;
    fn(err, rooms, rooms ? m->n_rooms : 0, arg);
    free(rooms);
    if (m)
        livekit__list_rooms_response__free_unpacked(m, NULL);
}

int roomapi_rooms(struct roomapi *a, int64_t timeout_ms, roomapi_rooms_fn *fn, void *arg)
{
    Livekit__ListRoomsRequest m = LIVEKIT__LIST_ROOMS_REQUEST__INIT;
    const struct roomapi_question q = { "/twirp/livekit.RoomService/ListRooms",
                                        roomapi_grant("roomList", NULL), &m.base, LIST_MAX,
                                        read_rooms };

    return roomapi_ask(a, &q, timeout_ms, (roomapi_any_fn *)fn, arg);
}

const char *roomapi_detail(const struct roomapi_person *p, const char *name)
{
    for (size_t i = 0; i + 1 < p->n_details; i += 2)
        if (strcmp(p->details[i], name) == 0)
            return p->details[i + 1];
    return "";
}

static size_t details_of(const Livekit__ListParticipantsResponse *m)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n_participants; i++)
        n += 2 * m->participants[i]->n_attributes;
    return n;
}

static void fill(struct roomapi_person *to, const Livekit__ParticipantInfo *p, const char **details)
{
    for (size_t i = 0; i < p->n_attributes; i++) {
        details[2 * i] = p->attributes[i]->key;
        details[2 * i + 1] = p->attributes[i]->value;
    }
    *to = (struct roomapi_person){ .identity = p->identity,
                                   .kind = (enum rtc_kind)p->kind,
                                   .joined_ms = p->joined_at * 1000,
                                   .details = details,
                                   .n_details = 2 * p->n_attributes };
}

static void read_people(int err, const char *data, size_t len, roomapi_any_fn *any, void *arg)
{
    roomapi_people_fn *fn = (roomapi_people_fn *)any;
    Livekit__ListParticipantsResponse *m =
        err ? NULL : livekit__list_participants_response__unpack(NULL, len, (const uint8_t *)data);
    struct roomapi_person *people = m ? calloc(m->n_participants + 1, sizeof *people) : NULL;
    const char **details = people ? calloc(details_of(m) + 1, sizeof *details) : NULL;
    size_t n = 0, at = 0;

    for (; details && n < m->n_participants; n++) {
        fill(&people[n], m->participants[n], details + at);
        at += people[n].n_details;
    }
    if (!err && !details)
        err = m ? PAT_ENOMEM : PAT_EPROTO;
    fn(err, people, n, arg);
    free(details);
    free(people);
    if (m)
        livekit__list_participants_response__free_unpacked(m, NULL);
}

int roomapi_people(struct roomapi *a, const char *room, int64_t timeout_ms, roomapi_people_fn *fn,
                   void *arg)
{
    Livekit__ListParticipantsRequest m = LIVEKIT__LIST_PARTICIPANTS_REQUEST__INIT;
    const struct roomapi_question q = { "/twirp/livekit.RoomService/ListParticipants",
                                        roomapi_grant("roomAdmin", room), &m.base, LIST_MAX,
                                        read_people };

    m.room = (char *)(uintptr_t)room;
    return roomapi_ask(a, &q, timeout_ms, (roomapi_any_fn *)fn, arg);
}
