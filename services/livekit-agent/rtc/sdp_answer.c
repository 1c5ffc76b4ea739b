/* sdp_answer.c - reads an answer: credentials, fingerprint, candidates, and what each section
 * holds. How: line by line over the borrowed text, never past len; each attribute has its own small
 * reader. Of the codecs only the first counts: an answer cannot add any. */
#include "sdp.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

/* A piece of the borrowed text. */
struct span {
    const char *p;
    size_t n;
};

static bool starts(struct span s, const char *with)
{
    size_t n = strlen(with);

    return s.n >= n && memcmp(s.p, with, n) == 0;
}

static bool is(struct span s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static struct span after(struct span s, size_t n)
{
    return (struct span){ s.p + n, s.n - n };
}

/* The next blank-separated word, empty at the end. */
static struct span word(struct span *rest)
{
    while (rest->n && *rest->p == ' ')
        *rest = after(*rest, 1);
    struct span w = { rest->p, 0 };
    while (w.n < rest->n && rest->p[w.n] != ' ')
        w.n++;
    *rest = after(*rest, w.n);
    return w;
}

/* False when it does not fit or holds a NUL. */
static bool copy(char *dst, size_t cap, struct span s)
{
    if (s.n >= cap || memchr(s.p, 0, s.n))
        return false;
    memcpy(dst, s.p, s.n);
    dst[s.n] = 0;
    return true;
}

static bool number(struct span s, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (!s.n || s.n > 19)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *out = v;
    return v <= max;
}

static bool numeric_address(const char *s)
{
    uint8_t raw[16];

    return inet_pton(AF_INET, s, raw) == 1 || inet_pton(AF_INET6, s, raw) == 1;
}

static int candidate_type(struct span s, enum sdp_candidate_type *out)
{
    static const char *const names[] = { "host", "srflx", "prflx", "relay" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (is(s, names[i])) {
            *out = (enum sdp_candidate_type)i;
            return PAT_OK;
        }
    }
    return PAT_EPROTO;
}

/* What follows the type comes in pairs; only tcptype matters (RFC 6544 section 4.5). */
static bool tcp_passive(struct span rest)
{
    for (struct span name = word(&rest); name.n; name = word(&rest)) {
        struct span value = word(&rest);

        if (is(name, "tcptype"))
            return is(value, "passive");
    }
    return false;
}

int sdp_candidate_parse(struct sdp_candidate *out, const char *s, size_t len)
{
    struct span rest = { s, len };
    uint64_t component, priority, port;

    if (starts(rest, "a="))
        rest = after(rest, 2);
    if (!starts(rest, "candidate:"))
        return PAT_EPROTO;
    rest = after(rest, strlen("candidate:"));
    struct span foundation = word(&rest), comp = word(&rest), transport = word(&rest);
    struct span prio = word(&rest), address = word(&rest), port_s = word(&rest), typ = word(&rest);
    struct span type = word(&rest);

    if (!number(comp, 256, &component) || !number(prio, UINT32_MAX, &priority) ||
        !number(port_s, UINT16_MAX, &port) || !is(typ, "typ") ||
        !copy(out->foundation, sizeof out->foundation, foundation) ||
        candidate_type(type, &out->type))
        return PAT_EPROTO;
    bool udp = transport.n == 3 && tolower(transport.p[0]) == 'u';
    if (component != 1 || (!udp && !tcp_passive(rest)) || !port ||
        !copy(out->address, sizeof out->address, address) || !numeric_address(out->address))
        return PAT_ENOENT;
    out->transport = udp ? SDP_UDP : SDP_TCP_PASSIVE;
    out->priority = (uint32_t)priority;
    out->port = (uint16_t)port;
    return PAT_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void read_fingerprint(struct sdp_answer *a, struct span v)
{
    uint8_t raw[32];
    struct span algorithm = word(&v), hex = word(&v);

    if (algorithm.n != 7 || strncasecmp(algorithm.p, "sha-256", 7) != 0 || hex.n != SDP_FINGERPRINT)
        return;
    for (size_t i = 0; i < sizeof raw; i++) {
        int hi = hex_digit(hex.p[3 * i]), lo = hex_digit(hex.p[3 * i + 1]);

        if (hi < 0 || lo < 0 || (i + 1 < sizeof raw && hex.p[3 * i + 2] != ':'))
            return;
        raw[i] = (uint8_t)(hi << 4 | lo);
    }
    memcpy(a->fingerprint, raw, sizeof raw);
    a->has_fingerprint = true;
}

static void read_candidate(struct sdp_answer *a, struct span line)
{
    if (a->n_candidates < SDP_CANDIDATES &&
        sdp_candidate_parse(&a->candidates[a->n_candidates], line.p, line.n) == PAT_OK)
        a->n_candidates++;
}

/* "a=msid:stream track"; a value that does not fit is no name of LiveKit's. */
static void read_msid(struct sdp_section *s, struct span v)
{
    struct span stream = word(&v), track = word(&v);

    if (!copy(s->stream, sizeof s->stream, stream) || !copy(s->track, sizeof s->track, track))
        s->stream[0] = s->track[0] = 0;
}

static void read_ssrc(struct sdp_section *s, struct span v)
{
    uint64_t ssrc;

    if (!s->ssrc && number(word(&v), UINT32_MAX, &ssrc))
        s->ssrc = (uint32_t)ssrc;
}

static void read_section_line(struct sdp_section *s, struct span line)
{
    if (starts(line, "a=mid:")) {
        if (!copy(s->mid, sizeof s->mid, after(line, 6)))
            s->mid[0] = 0;
    } else if (starts(line, "a=msid:")) {
        read_msid(s, after(line, 7));
    } else if (starts(line, "a=ssrc:")) {
        read_ssrc(s, after(line, 7));
    } else if (is(line, "a=sendonly") || is(line, "a=sendrecv")) {
        s->sends = true;
    } else if (is(line, "a=recvonly") || is(line, "a=inactive")) {
        s->sends = false;
    }
}

static void read_setup(struct sdp_answer *a, struct span v)
{
    if (is(v, "active"))
        a->setup = SDP_SETUP_ACTIVE;
    else if (is(v, "passive"))
        a->setup = SDP_SETUP_PASSIVE;
}

/* Credentials are the same in every section under BUNDLE: the first ones count. */
static void read_transport_line(struct sdp_answer *a, struct span line)
{
    if (starts(line, "a=ice-ufrag:") && !a->ufrag[0]) {
        if (!copy(a->ufrag, sizeof a->ufrag, after(line, 12)))
            a->ufrag[0] = 0;
    } else if (starts(line, "a=ice-pwd:") && !a->pwd[0]) {
        if (!copy(a->pwd, sizeof a->pwd, after(line, 10)))
            a->pwd[0] = 0;
    } else if (starts(line, "a=fingerprint:") && !a->has_fingerprint) {
        read_fingerprint(a, after(line, 14));
    } else if (starts(line, "a=setup:") && a->setup == SDP_SETUP_UNKNOWN) {
        read_setup(a, after(line, 8));
    } else if (starts(line, "a=candidate:")) {
        read_candidate(a, line);
    } else if (is(line, "a=ice-lite")) {
        a->ice_lite = true;
    }
}

/* "m=audio 0 ..." is a refused section: it keeps its place, but nothing comes in it. */
static void open_section(struct sdp_section *s, struct span line, bool *refused)
{
    struct span rest = after(line, 2);
    struct span media = word(&rest), port = word(&rest), profile = word(&rest);
    uint64_t pt;

    (void)profile;
    memset(s, 0, sizeof *s);
    s->audio = is(media, "audio");
    s->sends = true;
    s->red = s->audio && number(word(&rest), 127, &pt) && pt == SDP_PT_RED;
    *refused = is(port, "0");
}

static bool next_line(struct span *rest, struct span *line)
{
    if (!rest->n)
        return false;
    const char *nl = memchr(rest->p, '\n', rest->n);
    size_t n = nl ? (size_t)(nl - rest->p) : rest->n;
    *line = (struct span){ rest->p, n };
    *rest = after(*rest, nl ? n + 1 : n);
    while (line->n && (line->p[line->n - 1] == '\r' || line->p[line->n - 1] == ' '))
        line->n--;
    return true;
}

int sdp_answer_parse(struct sdp_answer *out, const char *sdp, size_t len)
{
    struct span rest = { sdp, len }, line;
    struct sdp_section *section = NULL;
    bool refused = false;

    memset(out, 0, sizeof *out);
    if (len > SDP_MAX_LEN)
        return PAT_E2BIG;
    while (next_line(&rest, &line)) {
        if (starts(line, "m=")) {
            if (out->n_sections == SDP_SECTIONS)
                return PAT_E2BIG;
            section = &out->sections[out->n_sections++];
            open_section(section, line, &refused);
        } else if (section) {
            read_section_line(section, line);
        }
        if (section && refused)
            section->sends = false;
        read_transport_line(out, line);
    }
    if (!out->n_sections || !out->ufrag[0] || !out->pwd[0])
        return PAT_EPROTO;
    return PAT_OK;
}
