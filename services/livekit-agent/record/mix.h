/* mix.h - two voices, packet by packet, onto one timeline of two-stream Opus packets. Pure.
 *
 * Nothing is decoded or encoded. The frames of each side's packets are kept with their times; a
 * slot of 20 ms (40, 60 or 120 where a frame is that long) takes what is due on both sides and
 * becomes one multistream packet (RFC 7845 section 3, RFC 6716 appendix B): the first stream
 * delimits itself, the second has the rest. What is missing for a moment is concealed by the
 * decoder (frames without bytes), what is missing for longer is a packet of silence. One Opus
 * packet cannot hold frames of two configurations: in a slot longer than a frame the second one
 * waits for the next slot, and the delay is made good at the next quiet frame.
 */
#ifndef RECORD_MIX_H
#define RECORD_MIX_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

#define RECORD_SLOT       960  /* samples at 48 kHz: 20 ms */
#define RECORD_PACKET_MAX 8192 /* frames that do not fit any more are left out */
#define RECORD_FRAMES     512  /* waiting per side: 5 s of 10 ms frames */

enum record_side { RECORD_CALLER, RECORD_AGENT, RECORD_SIDES };

struct record_frame;

struct record_row {
    struct record_frame *first, *last;
    size_t n;
    uint8_t toc; /* of the last true frame; dur of it, 0: none yet */
    int dur;
    int64_t sound_end;
};

struct record_mix {
    int64_t pos; /* all before it is written */
    struct record_row rows[RECORD_SIDES];
    int64_t lost; /* frames that came too late, or were too many */
};

void record_mix_init(struct record_mix *m, int64_t pos);
void record_mix_fini(struct record_mix *m);
/* at: of the packet's first sample. Copies. PAT_EPROTO: not an Opus packet. */
int record_mix_add(struct record_mix *m, enum record_side side, int64_t at, const uint8_t *opus,
                   size_t len);
/* The next slot, when it ends at or before until. Its length in bytes, 0: it is not over yet. */
size_t record_mix_next(struct record_mix *m, int64_t until, uint8_t out[RECORD_PACKET_MAX],
                       uint32_t *samples);
/* 20 ms of silence on both sides. */
size_t record_mix_silence(uint8_t out[RECORD_PACKET_MAX]);

#endif
