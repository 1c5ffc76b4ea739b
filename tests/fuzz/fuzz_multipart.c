/* fuzz_multipart.c - forms: every part lies within the body, and names end.
 *
 * The input's first line is the content type, the rest the body. */
#include "pat.h"

#include <stdlib.h>
#include <string.h>

enum { PARTS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nl = memchr(data, '\n', size);
    size_t head = nl ? (size_t)(nl - data) : size, len = nl ? size - head - 1 : 0, n;
    PAT_AUTO_STR type = strndup((const char *)data, head);
    char *body = malloc(len + 1);
    struct pat_part parts[PARTS];

    if (len)
        memcpy(body, nl + 1, len);
    body[len] = '\0';
    if (!pat_multipart_parse(type, body, len, parts, PARTS, &n)) {
        for (size_t i = 0; i < n; i++) {
            const struct pat_part *p = &parts[i];

            if (p->data < body || p->data + p->len > body + len || !*p->name ||
                !memchr(p->filename, 0, sizeof p->filename) || !memchr(p->type, 0, sizeof p->type))
                abort();
        }
    }
    free(body);
    return 0;
}
