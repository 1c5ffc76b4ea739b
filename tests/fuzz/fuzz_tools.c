/* fuzz_tools.c - settings of a user and arguments of a model, both of any kind: a line each. */
#include "schema.h"
#include "tools.h"

#include <stdlib.h>
#include <string.h>

static void take(const struct pat_tools *t, const char *name, const char *arguments)
{
    const struct pat_tool *tool;
    const struct pat_target *to;
    struct pat_json *args = NULL, *shown;
    struct pat_json_err err;
    char number[PAT_PHONE_LEN + 1], what[160];
    int64_t at_ms;

    if (pat_tools_take(t, name, arguments, &tool, &args, &err)) {
        if (args || !*err.what)
            abort();
        return;
    }
    if (pat_schema_check(tool->parameters, args, NULL))
        abort();
    shown = pat_tools_redacted(args);
    free(pat_json_print(shown));
    pat_json_free(shown);
    (void)pat_tools_target(t, pat_json_str_or(args, "to", NULL), &to);
    (void)pat_tools_reach(t, pat_json_str_or(args, "number", NULL), number);
    if (!pat_tools_callback(t, pat_json_str_or(args, "when", ""), 1795444200000, &at_ms, what) &&
        at_ms < 1795444200000)
        abort();
    pat_json_free(args);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *line = size ? memchr(text, '\n', size) : NULL;
    struct pat_json *settings = NULL;
    struct pat_tools *t = NULL;
    struct pat_tools_opts o = { .caller = "+15550109999", .countries = "+1" };
    char *arguments;

    if (!line || pat_json_parse(&settings, text, (size_t)(line - text), NULL))
        return 0;
    o.settings = settings;
    arguments = strndup(line + 1, size - (size_t)(line + 1 - text));
    if (arguments && !pat_tools_new(&t, &o)) {
        struct pat_buf b;

        PAT_JSON_EACH(d, pat_tools_openai(t))
        take(t, pat_json_str_or(d, "function.name", ""), arguments);
        pat_buf_init(&b, 1 << 20);
        if (pat_tools_prompt(t, 1795444200000, &b))
            abort();
        pat_buf_fini(&b);
        pat_tools_free(t);
    }
    free(arguments);
    pat_json_free(settings);
    return 0;
}
