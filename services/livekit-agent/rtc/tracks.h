/* tracks.h - the media sections of one peer connection and whose sound is in them.
 *
 * Pure. Section 0 is our voice, 1 the first one to hear, 2 the data; more to hear come behind. A
 * received packet finds its section by SSRC, else by the mid it carries, else by being the only
 * sender whose SSRC nobody knows: media may be here before the answer that announces it.
 */
#ifndef RTC_TRACKS_H
#define RTC_TRACKS_H

#include "gaps.h"
#include "rtcp.h"
#include "rtp.h"
#include "sdp.h"

struct track {
    enum sdp_kind kind;
    char mid[4];
    bool sends; /* as the last answer says */
    bool bound; /* ssrc is known */
    uint32_t ssrc;
    char sid[64];   /* the track's; "" while unknown */
    char owner[64]; /* the participant's sid, from the msid; "" while unknown */
    struct rtcp_source source;
    struct gaps gaps;
    bool red; /* its packets bring their predecessors along */
};

struct tracks {
    struct track list[SDP_SECTIONS];
    size_t n;
    uint32_t generation; /* changes whenever a sid or an owner does */
};

void tracks_init(struct tracks *t);
/* PAT_E2BIG: as many as fit were added. */
int tracks_add_recv(struct tracks *t, unsigned n);
void tracks_kinds(const struct tracks *t, enum sdp_kind out[SDP_SECTIONS]);
/* PAT_EPROTO: the sections are not those of our offer. */
int tracks_apply(struct tracks *t, const struct sdp_answer *a) PAT_MUST_CHECK;
/* mid_to_track_id of an answer. */
void tracks_name(struct tracks *t, const char *mid, const char *sid);
/* NULL: nobody's. Binds an SSRC to its section when it is new. */
struct track *tracks_route(struct tracks *t, const struct rtp_packet *p);

#endif
