/* fuzz_out.c - what users say of an endpoint, what a receiver answers, what an event is made into:
 * the first byte chooses. */
#include "out_fields.h"
#include "out_message.h"
#include "out_schedule.h"
#include "out_target.h"

#include <stdlib.h>
#include <string.h>

static void url(const char *s)
{
    bool open = !out_target_wrong(s, false, true), closed = !out_target_wrong(s, false, false);

    /* What is good enough for everybody is good enough where more is allowed. */
    if (closed && !open)
        abort();
    (void)out_target_wrong(s, true, false);
}

static void pattern(const char *s)
{
    char type[96];

    if (out_pattern_valid(s))
        (void)out_pattern_matches(s, "call.ended");
    if (out_type_of(type, sizeof type, s) && strncmp(s, "pat.", 4) != 0)
        abort();
}

static void answer(const char *s)
{
    struct out_schedule schedule;
    int64_t ms = out_retry_after_ms(s, 1795444200);

    if (ms < 0 || ms > OUT_RETRY_AFTER_MAX_MS)
        abort();
    if (!out_schedule_parse(&schedule, s))
        for (int tries = 0; tries < OUT_SCHEDULE_MAX + 2; tries++)
            if (out_schedule_next_ms(&schedule, tries, 0, 0) < -1)
                abort();
}

static void fields(const char *s, size_t len)
{
    struct pat_json *params = NULL, *clean = NULL;
    struct pat_json_err wrong = { "", "" };

    if (pat_json_parse(&params, s, len, NULL))
        return;
    if (pat_json_kind(params) == PAT_JSON_OBJ &&
        out_fields_read(&clean, params, true, false, &wrong) && !*wrong.what)
        abort();
    pat_json_free(clean);
    pat_json_free(params);
}

/* What was added has to be one more item that anybody can read. */
static void message(const char *s, size_t len)
{
    struct pat_buf b;
    struct pat_json *j = NULL;

    pat_buf_init(&b, 4 << 20);
    pat_buf_adds(&b, "[");
    if (!out_message_add(&b, s, len)) {
        pat_buf_adds(&b, "]");
        if (pat_json_parse(&j, b.data, b.len, NULL) || pat_json_size(j) != 1)
            abort();
    }
    pat_json_free(j);
    pat_buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = size ? strndup((const char *)data + 1, size - 1) : NULL;

    if (!text)
        return 0;
    switch (*data) {
    case 'u':
        url(text);
        break;
    case 'p':
        pattern(text);
        break;
    case 'a':
        answer(text);
        break;
    case 'f':
        fields(text, strlen(text));
        break;
    default:
        message(text, strlen(text));
    }
    free(text);
    return 0;
}
