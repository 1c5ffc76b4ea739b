/* fuzz_event.c - envelopes from the bus, and subjects made of anything. */
#include "event.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_subject(const char *text)
{
    char out[PAT_SUBJECT_MAX];
    struct pat_event e = { .area = "call", .name = "routed", .user_id = text, .key = text };
    int dots = 0;

    if (pat_event_subject(&e, out))
        return;
    for (const char *s = out; *s; s++) {
        dots += *s == '.';
        if (*s <= ' ' || *s > '~' || *s == '*' || *s == '>' || (*s == '.' && s[1] == '.'))
            abort();
    }
    if (dots != 5)
        abort();
}

/* What was read can be said again, and is still an event. */
static void say_again(const struct pat_json *j)
{
    struct pat_event e = { .area = "call",
                           .name = "routed",
                           .user_id = pat_json_str_or(j, "userid", NULL),
                           .key = pat_json_str_or(j, "subject", NULL),
                           .source = pat_json_str_or(j, "source", NULL) };
    struct pat_event_text t;
    PAT_AUTO_JSON back = NULL;

    if (pat_event_make(&t, &e, pat_json_dup(pat_json_at(j, "data"))))
        return;
    if (pat_event_parse(&back, t.json, t.len, NULL))
        abort();
    pat_event_text_fini(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PAT_AUTO_STR text = strndup((const char *)data, size);
    PAT_AUTO_JSON j = NULL;

    check_subject(text);
    if (!pat_event_parse(&j, (const char *)data, size, NULL))
        say_again(j);
    return 0;
}
