/* fuzz_http.c - everything the HTTP server reads from outside: heads, chunks, paths, forms.
 *
 * The first byte picks the parser. Beside memory errors it checks what must hold: decoding never
 * grows text, a chunked body never passes its limit, a head parses the same in one piece or two.
 */
#include "httpd_private.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void try_head(const char *data, size_t len)
{
    struct http_head head;
    size_t scanned = 0, half = 0, end, again;
    bool bad, bad_again;
    char *text;

    end = http_head_end(data, len, &scanned, &bad);
    again = http_head_end(data, len / 2, &half, &bad_again);
    if (!again && !bad_again)
        again = http_head_end(data, len, &half, &bad_again);
    require(end == again && bad == bad_again);
    if (!end || bad)
        return;
    text = malloc(end + 1);
    require(text);
    memcpy(text, data, end);
    text[end] = '\0';
    if (!http_head_parse(&head, text, end)) {
        size_t before = strlen(head.path);

        require(head.path[0] == '/' && head.n_headers <= HTTPD_MAX_HEADERS);
        if (path_decode(head.path))
            require(strlen(head.path) <= before);
        http_head_find(&head, "host");
        (void)http_takes_gzip(http_head_find(&head, "accept-encoding"));
    }
    free(text);
}

static void try_chunks(const char *data, size_t len)
{
    struct chunked whole = { .state = CHUNK_SIZE }, parts = { .state = CHUNK_SIZE };
    struct pat_buf a, b;
    size_t used, total = 0;
    int err_a, err_b = PAT_OK;

    pat_buf_init(&a, 1000);
    pat_buf_init(&b, 1000);
    err_a = chunked_feed(&whole, data, len, &used, &a);
    while (total < len && parts.state != CHUNK_DONE && !err_b) {
        size_t n;

        err_b = chunked_feed(&parts, data + total, 1, &n, &b);
        total += n;
    }
    require(a.len <= 1000 && b.len <= 1000 && used <= len);
    require(!err_a == !err_b);
    if (!err_a)
        require(used == total && a.len == b.len && (!a.len || !memcmp(a.data, b.data, a.len)));
    pat_buf_fini(&a);
    pat_buf_fini(&b);
}

static void try_form(const char *data, size_t len)
{
    struct pat_param params[HTTPD_MAX_FIELDS];
    char *text = strndup(data, len);
    size_t n, before, sum = 0;

    require(text);
    before = strlen(text);
    if (!form_parse(text, params, HTTPD_MAX_FIELDS, &n))
        for (size_t i = 0; i < n; i++)
            sum += strlen(params[i].name) + strlen(params[i].value);
    require(sum <= before);
    free(text);
}

/* "pattern\npath" */
static void try_route(const char *data, size_t len)
{
    struct route_param params[HTTPD_MAX_PARAMS];
    char *pattern = strndup(data, len), *path;
    size_t n;

    require(pattern);
    path = strchr(pattern, '\n');
    if (path) {
        *path++ = '\0';
        if (route_match(pattern, path, params, &n))
            for (size_t i = 0; i < n; i++)
                require(params[i].len && params[i].value >= path &&
                        params[i].value + params[i].len <= path + strlen(path));
    }
    free(pattern);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const tries[])(const char *, size_t) = { try_head, try_chunks, try_form,
                                                           try_route };

    if (len)
        tries[data[0] % 4]((const char *)data + 1, len - 1);
    return 0;
}
