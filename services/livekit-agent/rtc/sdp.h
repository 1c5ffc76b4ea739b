/* sdp.h - the session descriptions of one LiveKit peer connection: our offer out, its answer in.
 *
 * Pure. Sections keep their order and their mids for ever; new ones are added at the end (RFC 8829
 * section 5.2.2). Mid n is the n-th section. Opus alone or in RED, rtcp-mux, BUNDLE.
 */
#ifndef RTC_SDP_H
#define RTC_SDP_H

#include "buf.h"

#include <stddef.h>
#include <stdint.h>

#define SDP_SECTIONS    32 /* voices a call can hear, plus ours, plus data */
#define SDP_CANDIDATES  16
#define SDP_MAX_LEN     (64 * 1024)
#define SDP_PT_OPUS     111
#define SDP_PT_RED      63 /* RFC 2198; LiveKit's number too */
#define SDP_EXT_LEVEL   1  /* urn:ietf:params:rtp-hdrext:ssrc-audio-level, RFC 6464 */
#define SDP_EXT_MID     4  /* urn:ietf:params:rtp-hdrext:sdes:mid, RFC 9143 */
#define SDP_FINGERPRINT 95 /* "AB:..." of a SHA-256 */

enum sdp_kind { SDP_SEND, SDP_RECV, SDP_DATA };

struct sdp_offer {
    uint64_t session;
    uint32_t version;
    const char *ufrag;
    const char *pwd;
    const char *fingerprint;
    const char *cid; /* of our voice: the second token of its msid */
    uint32_t ssrc;
    const enum sdp_kind *sections;
    size_t n_sections;
};

/* The text is added to out; its error sticks there. */
int sdp_offer_build(struct pat_buf *out, const struct sdp_offer *o);

enum sdp_setup { SDP_SETUP_UNKNOWN, SDP_SETUP_ACTIVE, SDP_SETUP_PASSIVE };
enum sdp_transport { SDP_UDP, SDP_TCP_PASSIVE };
enum sdp_candidate_type { SDP_HOST, SDP_SRFLX, SDP_PRFLX, SDP_RELAY };

struct sdp_candidate {
    char foundation[33];
    enum sdp_transport transport;
    enum sdp_candidate_type type;
    uint32_t priority;
    char address[46]; /* numeric, v4 or v6 */
    uint16_t port;
};

struct sdp_section {
    char mid[16];
    bool audio;
    bool sends;      /* the peer may send in it now */
    bool red;        /* RED is what it would rather have */
    uint32_t ssrc;   /* 0: not told */
    char stream[64]; /* first token of the msid: "PA_...|TR_..." */
    char track[64];  /* second token: the track's sid */
};

struct sdp_answer {
    char ufrag[257];
    char pwd[257];
    uint8_t fingerprint[32];
    bool has_fingerprint; /* a SHA-256 one */
    bool ice_lite;
    enum sdp_setup setup;
    struct sdp_section sections[SDP_SECTIONS];
    size_t n_sections;
    struct sdp_candidate candidates[SDP_CANDIDATES];
    size_t n_candidates; /* what is over SDP_CANDIDATES is left out */
};

/* PAT_EPROTO: not a description with credentials; PAT_E2BIG: more sections than we could offer.
 * Unknown lines are skipped. */
int sdp_answer_parse(struct sdp_answer *out, const char *sdp, size_t len) PAT_MUST_CHECK;

/* One candidate ("candidate:..." with or without "a="). PAT_ENOENT: fine, but of no use to us
 * (another component, an active TCP one, a name instead of an address). */
int sdp_candidate_parse(struct sdp_candidate *out, const char *s, size_t len) PAT_MUST_CHECK;

#endif
