/* fuzz_json.c - text from outside: what is taken can be read, printed and read again, and is then
 * the same. The first line is a path, the rest the text. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const struct pat_json *j, const char *path)
{
    struct pat_json_err err;
    const struct pat_json *obj;
    const char *s;
    int64_t n;
    double f;
    bool b;

    (void)!pat_json_get_str(j, path, &s, &err);
    (void)!pat_json_get_int(j, path, &n, &err);
    (void)!pat_json_get_num(j, path, &f, &err);
    (void)!pat_json_get_bool(j, path, &b, &err);
    (void)!pat_json_get_id(j, path, &s, &err);
    (void)!pat_json_get_obj(j, path, &obj, &err);
    PAT_JSON_EACH(it, j)
    if (pat_json_key(it) && !pat_utf8_valid(pat_json_key(it), strlen(pat_json_key(it))))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = memchr(data, '\n', size);
    PAT_AUTO_JSON j = NULL;
    PAT_AUTO_JSON again = NULL;
    PAT_AUTO_STR path = NULL;
    PAT_AUTO_STR first = NULL;
    PAT_AUTO_STR second = NULL;
    PAT_AUTO_STR mended = NULL;
    PAT_AUTO_STR unwanted = NULL;
    size_t path_len, len;

    if (!text)
        return 0;
    path_len = (size_t)(text - (const char *)data);
    path = strndup((const char *)data, path_len);
    text++;
    len = size - path_len - 1;
    mended = pat_json_mended(text, &len);
    if (mended && !pat_json_parse(&j, text, size - path_len - 1, NULL))
        abort(); /* it was sound */
    if (mended && (!pat_utf8_valid(mended, len) || (unwanted = pat_json_mended(mended, &len))))
        abort();
    if (pat_json_parse(&j, text, size - path_len - 1, NULL))
        return 0;
    if (!pat_utf8_valid(text, size - path_len - 1))
        abort();
    read_all(j, path);
    first = pat_json_print(j);
    if (!first || pat_json_parse(&again, first, strlen(first), NULL))
        abort();
    second = pat_json_print(again);
    if (!second || strcmp(first, second) != 0)
        abort();
    return 0;
}
