/* turn_opts.c - the two sliders users have, as times. */
#include "turn.h"

struct turn_opts turn_opts_for(double responsiveness, double interruption_sensitivity)
{
    double r = responsiveness < 0 ? 0 : responsiveness > 1 ? 1 : responsiveness;
    double s = interruption_sensitivity < 0   ? 0
               : interruption_sensitivity > 1 ? 1
                                              : interruption_sensitivity;

    return (struct turn_opts){
        .min_delay_ms = (int32_t)(1000 - 900 * r),
        .max_delay_ms = (int32_t)(2000 - 1000 * r),
        .barge_in_ms = (int32_t)(700 - 600 * s),
        .barge_in_words = 1,
        .false_ms = 1500,
        .noise_ms = 4000,
        .guard_ms = 1500,
        .guard_words = 3,
        .think_ms = 6000,
        .voice_ms = 10000,
        .stall_ms = 4000,
        .unheard_voice_ms = 800,
        .unheard_ms = 3500,
        .unheard_max = 2,
        .speculate = true,
    };
}
