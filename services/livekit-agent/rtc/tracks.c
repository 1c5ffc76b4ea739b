/* tracks.c - the table of sections.
 * How: linear searches over a short list. It does not know participants; sids are their names. */
#include "tracks.h"

#include <stdio.h>
#include <string.h>

static void add(struct tracks *t, enum sdp_kind kind)
{
    struct track *s = &t->list[t->n];

    memset(s, 0, sizeof *s);
    s->kind = kind;
    (void)snprintf(s->mid, sizeof s->mid, "%u", (unsigned)t->n % 1000);
    t->n++;
}

void tracks_init(struct tracks *t)
{
    t->n = 0;
    t->generation = 1;
    add(t, SDP_SEND);
    add(t, SDP_RECV);
    add(t, SDP_DATA);
}

int tracks_add_recv(struct tracks *t, unsigned n)
{
    for (; n; n--) {
        if (t->n == SDP_SECTIONS)
            return PAT_E2BIG;
        add(t, SDP_RECV);
    }
    return PAT_OK;
}

void tracks_kinds(const struct tracks *t, enum sdp_kind out[SDP_SECTIONS])
{
    for (size_t i = 0; i < t->n; i++)
        out[i] = t->list[i].kind;
}

static void bind_ssrc(struct track *s, uint32_t ssrc)
{
    s->bound = true;
    s->ssrc = ssrc;
    s->source = (struct rtcp_source){ .ssrc = ssrc };
    s->gaps = (struct gaps){ 0 };
    s->red = false;
}

static void clear(struct tracks *t, struct track *s)
{
    if (s->sid[0] || s->owner[0])
        t->generation++;
    s->bound = false;
    s->sid[0] = s->owner[0] = 0;
}

static void rename_track(struct tracks *t, struct track *s, const char *sid)
{
    if (strcmp(s->sid, sid) == 0)
        return;
    (void)snprintf(s->sid, sizeof s->sid, "%s", sid);
    t->generation++;
}

/* LiveKit's msid: "PA_...|TR_..." and the track's sid. */
static void apply_msid(struct tracks *t, struct track *s, const struct sdp_section *a)
{
    size_t n = strcspn(a->stream, "|");

    if (strncmp(a->stream, "PA_", 3) == 0 && n < sizeof s->owner &&
        (strlen(s->owner) != n || memcmp(s->owner, a->stream, n) != 0)) {
        memcpy(s->owner, a->stream, n);
        s->owner[n] = 0;
        t->generation++;
    }
    if (strncmp(a->track, "TR_", 3) == 0)
        rename_track(t, s, a->track);
}

static void apply_section(struct tracks *t, struct track *s, const struct sdp_section *a)
{
    s->sends = a->sends && (a->ssrc || a->track[0]);
    if (!s->sends) {
        clear(t, s);
        return;
    }
    if (a->ssrc && (!s->bound || s->ssrc != a->ssrc))
        bind_ssrc(s, a->ssrc);
    apply_msid(t, s, a);
}

int tracks_apply(struct tracks *t, const struct sdp_answer *a)
{
    if (a->n_sections > t->n)
        return PAT_EPROTO;
    for (size_t i = 0; i < a->n_sections; i++)
        if (a->sections[i].audio != (t->list[i].kind != SDP_DATA))
            return PAT_EPROTO;
    for (size_t i = 0; i < a->n_sections; i++)
        if (t->list[i].kind == SDP_RECV)
            apply_section(t, &t->list[i], &a->sections[i]);
    return PAT_OK;
}

void tracks_name(struct tracks *t, const char *mid, const char *sid)
{
    for (size_t i = 0; i < t->n; i++) {
        struct track *s = &t->list[i];

        if (s->kind == SDP_RECV && s->sends && strcmp(s->mid, mid) == 0 &&
            strlen(sid) < sizeof s->sid)
            rename_track(t, s, sid);
    }
}

static struct track *by_ssrc(struct tracks *t, uint32_t ssrc)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->list[i].bound && t->list[i].ssrc == ssrc)
            return &t->list[i];
    return NULL;
}

static struct track *by_mid(struct tracks *t, const char *mid)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->list[i].kind == SDP_RECV && strcmp(t->list[i].mid, mid) == 0)
            return &t->list[i];
    return NULL;
}

static struct track *only_unbound(struct tracks *t)
{
    struct track *found = NULL;

    for (size_t i = 0; i < t->n; i++) {
        if (t->list[i].kind != SDP_RECV || t->list[i].bound)
            continue;
        if (found)
            return NULL;
        found = &t->list[i];
    }
    return found;
}

struct track *tracks_route(struct tracks *t, const struct rtp_packet *p)
{
    struct track *s = by_ssrc(t, p->ssrc);

    if (s)
        return s;
    s = p->mid[0] ? by_mid(t, p->mid) : only_unbound(t);
    if (s)
        bind_ssrc(s, p->ssrc);
    return s;
}
