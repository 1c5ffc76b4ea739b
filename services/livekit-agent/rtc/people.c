/* people.c - keeps the table of participants.
 * How: each update is compared with what is known and the differences are told. A person who comes
 * back under a new sid replaces the old one, whose farewell may never have reached us. */
#include "people.h"

#include "livekit.pb-c.h"
#include "pb.h"

#include <stdlib.h>
#include <string.h>

static void person_free(struct person *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n_attrs; i++) {
        free(p->attrs[i].name);
        free(p->attrs[i].value);
    }
    free(p->sid);
    free(p->identity);
    free(p->name);
    free(p);
}

void people_fini(struct people *p)
{
    for (size_t i = 0; i < p->n; i++)
        person_free(p->list[i]);
    p->n = 0;
}

struct person *people_by_sid(const struct people *p, const char *sid)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->list[i]->sid, sid) == 0)
            return p->list[i];
    return NULL;
}

struct person *people_by_identity(const struct people *p, const char *identity)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->list[i]->identity, identity) == 0)
            return p->list[i];
    return NULL;
}

struct person *people_by_track(const struct people *p, const char *track_sid)
{
    for (size_t i = 0; i < p->n; i++)
        for (size_t k = 0; k < p->list[i]->n_tracks; k++)
            if (strcmp(p->list[i]->tracks[k], track_sid) == 0)
                return p->list[i];
    return NULL;
}

struct rtc_participant person_view(const struct person *p)
{
    return (struct rtc_participant){
        .sid = p->sid, .identity = p->identity, .name = p->name, .kind = p->kind
    };
}

static void tell(const struct person *p, const struct people_events *ev, void *arg)
{
    const struct rtc_participant view = person_view(p);

    if (ev && ev->participant)
        ev->participant(&view, arg);
}

static void tell_attribute(const struct person *p, const char *name, const char *value,
                           const struct people_events *ev, void *arg)
{
    const struct rtc_participant view = person_view(p);

    if (ev && ev->attribute)
        ev->attribute(&view, name, value, arg);
}

static void drop(struct people *p, struct person *who, int reason, const struct people_events *ev,
                 void *arg)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->list[i] != who)
            continue;
        p->list[i] = p->list[--p->n];
        break;
    }
    struct rtc_participant view = person_view(who);
    view.gone = true;
    view.disconnect_reason = reason;
    if (ev && ev->participant)
        ev->participant(&view, arg);
    person_free(who);
}

static struct person *add(struct people *p, const Livekit__ParticipantInfo *info)
{
    struct person *who = p->n < PEOPLE_MAX ? calloc(1, sizeof *who) : NULL;

    if (!who)
        return NULL;
    who->sid = strdup(pb_str(info->sid));
    who->identity = strdup(pb_str(info->identity));
    who->name = strdup(pb_str(info->name));
    if (!who->sid || !who->identity || !who->name) {
        person_free(who);
        return NULL;
    }
    p->list[p->n++] = who;
    return who;
}

/* True when it changed. */
static bool replace(char **text, const char *with)
{
    if (strcmp(*text, with) == 0)
        return false;
    char *copy = strdup(with);
    if (!copy)
        return false;
    free(*text);
    *text = copy;
    return true;
}

static void take_tracks(struct person *who, const Livekit__ParticipantInfo *info)
{
    who->n_tracks = 0;
    for (size_t i = 0; i < info->n_tracks && who->n_tracks < PEOPLE_TRACKS; i++) {
        const Livekit__TrackInfo *t = info->tracks[i];

        if (t->type == LIVEKIT__TRACK_TYPE__AUDIO &&
            pat_strcpy(who->tracks[who->n_tracks], sizeof who->tracks[0], pb_str(t->sid)))
            who->n_tracks++;
    }
}

static struct person_attr *find_attr(struct person *who, const char *name)
{
    for (size_t i = 0; i < who->n_attrs; i++)
        if (strcmp(who->attrs[i].name, name) == 0)
            return &who->attrs[i];
    return NULL;
}

static struct person_attr *add_attr(struct person *who, const char *name)
{
    struct person_attr a = { .name = strdup(name), .value = strdup("") };

    if (who->n_attrs == PEOPLE_ATTRS || !a.name || !a.value) {
        free(a.name);
        free(a.value);
        return NULL;
    }
    who->attrs[who->n_attrs] = a;
    return &who->attrs[who->n_attrs++];
}

static bool has_attr(const Livekit__ParticipantInfo *info, const char *name)
{
    for (size_t i = 0; i < info->n_attributes; i++)
        if (strcmp(pb_str(info->attributes[i]->key), name) == 0)
            return true;
    return false;
}

static void take_attrs(struct person *who, const Livekit__ParticipantInfo *info,
                       const struct people_events *ev, void *arg)
{
    for (size_t i = 0; i < info->n_attributes; i++) {
        const char *name = pb_str(info->attributes[i]->key);
        const char *value = pb_str(info->attributes[i]->value);
        struct person_attr *a = find_attr(who, name);
        bool fresh = !a;

        if (fresh)
            a = add_attr(who, name);
        if (a && (replace(&a->value, value) || fresh))
            tell_attribute(who, name, value, ev, arg);
    }
    for (size_t i = 0; i < who->n_attrs; i++) {
        struct person_attr *a = &who->attrs[i];

        if (*a->value && !has_attr(info, a->name) && replace(&a->value, ""))
            tell_attribute(who, a->name, "", ev, arg);
    }
}

static struct person *find_or_add(struct people *p, const Livekit__ParticipantInfo *info,
                                  const struct people_events *ev, void *arg)
{
    struct person *old = people_by_identity(p, pb_str(info->identity));

    if (old && old->stale)
        drop(p, old, 0, NULL, NULL); /* told anew after the reconnect */
    else if (old)
        drop(p, old, LIVEKIT__DISCONNECT_REASON__DUPLICATE_IDENTITY, ev, arg);
    return add(p, info);
}

int people_update(struct people *p, const Livekit__ParticipantInfo *info,
                  const struct people_events *ev, void *arg)
{
    struct person *who = people_by_sid(p, pb_str(info->sid));
    bool fresh = !who;

    p->generation++;
    if (info->state == LIVEKIT__PARTICIPANT_INFO__STATE__DISCONNECTED) {
        if (who)
            drop(p, who, (int)info->disconnect_reason, ev, arg);
        return PAT_OK;
    }
    if (who && info->version < who->version)
        return PAT_ESTALE;
    if (!who)
        who = find_or_add(p, info, ev, arg);
    if (!who)
        return PAT_ENOMEM;
    who->stale = false;
    who->version = info->version;
    who->kind = (enum rtc_kind)info->kind;
    take_tracks(who, info);
    if (replace(&who->name, pb_str(info->name)) || fresh)
        tell(who, ev, arg);
    take_attrs(who, info, ev, arg);
    return PAT_OK;
}

void people_tell(const struct people *p, const struct people_events *ev, void *arg)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct person *who = p->list[i];

        tell(who, ev, arg);
        for (size_t k = 0; k < who->n_attrs; k++)
            if (*who->attrs[k].value)
                tell_attribute(who, who->attrs[k].name, who->attrs[k].value, ev, arg);
    }
}

void people_mark_stale(struct people *p)
{
    for (size_t i = 0; i < p->n; i++)
        p->list[i]->stale = true;
}

void people_sweep(struct people *p, const struct people_events *ev, void *arg)
{
    for (size_t i = p->n; i-- > 0;)
        if (p->list[i]->stale)
            drop(p, p->list[i], 0, ev, arg);
}
