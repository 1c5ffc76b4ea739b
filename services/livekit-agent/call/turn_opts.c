/* turn_opts.c - the two sliders users have, as times. */
#include "turn.h"

#include <assert.h>

#define OPT(field)                                                                                 \
    {                                                                                              \
#field, offsetof(struct turn_opts, field)                                                  \
    }

const struct turn_opt turn_opt_list[] = {
    OPT(min_delay_ms),   OPT(max_delay_ms),  OPT(end_wait_ms),      OPT(barge_in_ms),
    OPT(barge_in_words), OPT(false_ms),      OPT(backchannel_ms),   OPT(boundary_ms),
    OPT(noise_ms),       OPT(guard_ms),      OPT(guard_words),      OPT(think_ms),
    OPT(voice_ms),       OPT(stall_ms),      OPT(unheard_voice_ms), OPT(unheard_ms),
    OPT(unheard_max),    OPT(speculate_max), OPT(idle_ms),          OPT(idle_max),
    OPT(asked_delay_ms), OPT(wait_ms),       OPT(wait_least_ms),    OPT(wait_more_ms),
};
const size_t turn_opt_n = sizeof turn_opt_list / sizeof turn_opt_list[0];
static_assert(sizeof turn_opt_list / sizeof turn_opt_list[0] ==
                  sizeof(struct turn_opts) / sizeof(int32_t),
              "every option has a name");

struct turn_opts turn_opts_for(double responsiveness, double interruption_sensitivity)
{
    double r = responsiveness < 0 ? 0 : responsiveness > 1 ? 1 : responsiveness;
    double s = interruption_sensitivity < 0   ? 0
               : interruption_sensitivity > 1 ? 1
                                              : interruption_sensitivity;

    return (struct turn_opts){
        .min_delay_ms = (int32_t)(1000 - 900 * r),
        .max_delay_ms = (int32_t)(2200 - 900 * r),
        .end_wait_ms = (int32_t)(2000 - 1000 * r),
        .barge_in_ms = (int32_t)(700 - 600 * s),
        .barge_in_words = s >= 0.6   ? 1
                          : s >= 0.3 ? 2
                          : s > 0    ? 3
                                     : 0,
        .false_ms = 1500,
        .backchannel_ms = 300,
        .boundary_ms = 1000,
        .noise_ms = 4000,
        .guard_ms = 1500,
        .guard_words = 3,
        .think_ms = 6000,
        .voice_ms = 10000,
        .stall_ms = 4000,
        .unheard_voice_ms = 800,
        .unheard_ms = 3500,
        .unheard_max = 2,
        .speculate_max = 3,
        .asked_delay_ms = (int32_t)(500 - 450 * r),
    };
}
