/* fuzz_signature.c - signature headers of Retell, ElevenLabs and SignalWire, and the URLs they are
 * made over.
 *
 * First line the header, second the URL, the rest the body, which is also taken as name=value
 * pairs. A header that nobody signed never passes; what we sign does. */
#include "sign.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PARAMS = 80 };

/* Cuts text at its first line feed and returns what follows. */
static char *cut_line(char *text)
{
    char *nl = strchr(text, '\n');

    if (!nl)
        return text + strlen(text);
    *nl = '\0';
    return nl + 1;
}

static size_t cut_params(char *text, struct pat_param params[PARAMS])
{
    size_t n = 0;

    for (char *next; *text && n < PARAMS; text = next) {
        char *eq;

        next = text + strcspn(text, "&");
        if (*next)
            *next++ = '\0';
        eq = strchr(text, '=');
        params[n].name = text;
        params[n++].value = eq ? eq + 1 : "";
        if (eq)
            *eq = '\0';
    }
    return n;
}

static void round_trip_form(const char *url, const struct pat_param *params, size_t n)
{
    struct pat_buf signature;

    pat_buf_init(&signature, 100);
    if (pat_sign_signalwire_form(&signature, "key", url, params, n))
        abort();
    if (strstr(url, "://") && strlen(url) < 8000 &&
        pat_sign_signalwire_form_verify(signature.data, "old,key", url, params, n))
        abort();
    pat_buf_fini(&signature);
}

static void round_trip_body(const char *body, size_t len)
{
    struct pat_buf signature;

    pat_buf_init(&signature, 200);
    if (pat_sign_retell(&signature, "key", body, len, 1764000000000) ||
        pat_sign_retell_verify(signature.data, "key", body, len, 1764000000000))
        abort();
    pat_buf_reset(&signature);
    if (pat_sign_elevenlabs(&signature, "key", body, len, 1764000000) ||
        pat_sign_elevenlabs_verify(signature.data, "key", body, len, 1764000000))
        abort();
    pat_buf_fini(&signature);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char secret[] = "not in any corpus";
    PAT_AUTO_STR header = strndup((const char *)data, size);
    char *url = cut_line(header);
    char *body = cut_line(url);
    size_t len = strlen(body);
    struct pat_param params[PARAMS];
    size_t n;

    if (!pat_sign_retell_verify(header, secret, body, len, 1764000000000) ||
        !pat_sign_elevenlabs_verify(header, secret, body, len, 1764000000) ||
        !pat_sign_signalwire_json_verify(header, secret, url, body, len) ||
        !pat_sign_short_verify(header, secret, "fuzz", body))
        abort();
    round_trip_body(body, len);
    n = cut_params(body, params);
    if (!pat_sign_signalwire_form_verify(header, secret, url, params, n))
        abort();
    round_trip_form(url, params, n);
    return 0;
}
