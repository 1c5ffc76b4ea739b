/* prompt.c - the instructions of one call.
 *
 * The caller's number is given to the model, nothing else personal; passcodes never are.
 */
#include "prompt.h"

#include <stdlib.h>
#include <string.h>

enum { SYSTEM_MAX = 80 * 1024 };

char *prompt_system(const struct context *c, int64_t unix_ms)
{
    struct pat_buf b;
    char now[PAT_TIME_LEN + 1];

    pat_time_format(unix_ms, now);
    pat_buf_init(&b, SYSTEM_MAX);
    pat_instructions(&(struct pat_instructions){ .system_prompt = c->system_prompt,
                                                 .agent_name = c->agent_name,
                                                 .user_name = c->user_name,
                                                 .language = c->language,
                                                 .response_style = c->response_style,
                                                 .vetting = c->vetting,
                                                 .greeted = *c->greeting },
                     &b);
    /* What changes from call to call comes last, so that providers can cache what stands before. */
    pat_buf_addf(&b, "\n\nCaller's number: %s. Call began %.16s UTC.",
                 c->from ? c->from : "withheld", now);
    return pat_buf_take(&b);
}
