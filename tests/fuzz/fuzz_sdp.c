/* fuzz_sdp.c - answers and candidates as a server might write them, and what the table of sections
 * makes of them. */
#include "sdp.h"
#include "tracks.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct sdp_candidate candidate;
    struct sdp_answer answer;
    struct tracks tracks;

    (void)sdp_candidate_parse(&candidate, text, size);
    tracks_init(&tracks);
    (void)tracks_add_recv(&tracks, size ? data[0] % 40 : 0);
    if (sdp_answer_parse(&answer, text, size) == PAT_OK && tracks_apply(&tracks, &answer) == PAT_OK)
        tracks_name(&tracks, answer.sections[0].mid, answer.sections[0].track);
    return 0;
}
