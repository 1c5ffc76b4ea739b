/* tools_int.h - the inside of tools*.c, and of nobody else.
 *
 *   tools.c         made from settings, calls taken in
 *   tools_rules.c   whom, when, which number
 *   tools_text.c    what the model reads: definitions and instructions
 *   tools_redact.c  what events may show
 */
#ifndef PAT_TOOLS_INT_H
#define PAT_TOOLS_INT_H

#include "tools.h"
#include "tz.h"

enum { TOOLS_MAX = 32, TARGETS_MAX = 32 };

struct pat_tools {
    struct pat_tool tool[TOOLS_MAX];
    char *filler[TOOLS_MAX]; /* owned */
    size_t n;
    struct pat_target target[TARGETS_MAX];
    size_t n_targets;
    bool any_target;         /* whose are known with each call only */
    struct pat_json *openai; /* the array; owns all parameters */
    char caller[PAT_PHONE_LEN + 1], called[PAT_PHONE_LEN + 1];
    char *countries;
    char zone_name[65];
    struct pat_tz *zone;
    bool asks_code;
    int quiet_from, quiet_to; /* minutes of the day; equal: none */
    enum { TRANSFER_COLD, TRANSFER_WARM, TRANSFER_CHOOSE } mode;
};

/* tools_text.c: {"type":"function","function":{...}} of one of ours. Yours; NULL: out of memory. */
struct pat_json *tools_definition(const struct pat_tools *t, enum pat_tool_kind kind);

#endif
