/* sign_aws4.c - AWS signature version 4 for one request.
 *
 * How: docs.aws.amazon.com, "Create a signed AWS API request": canonical request, string to sign, a
 * key derived by day, region and service. The service is always s3.
 */
#include "object_store.h"
#include "sign.h"

#include <string.h>

enum { CANONICAL_MAX = 16 * 1024, HASH = 32, DAY = 8 };

static void add_names(struct pat_buf *b, const char *const *headers)
{
    for (size_t i = 0; headers[i]; i++) {
        if (i)
            pat_buf_adds(b, ";");
        pat_buf_add(b, headers[i], strcspn(headers[i], ":"));
    }
}

static int canonical_hash(const struct pat_aws4 *r, struct pat_buf *hex)
{
    struct pat_buf b;
    uint8_t hash[HASH];
    int err;

    pat_buf_init(&b, CANONICAL_MAX);
    pat_buf_addf(&b, "%s\n%s\n%s\n", r->method, r->path, r->query);
    for (size_t i = 0; r->headers[i]; i++)
        pat_buf_addf(&b, "%s\n", r->headers[i]);
    pat_buf_adds(&b, "\n");
    add_names(&b, r->headers);
    pat_buf_addf(&b, "\n%s", r->payload);
    err = b.err;
    if (!err)
        pat_sha256(b.data, b.len, hash);
    pat_buf_fini(&b);
    return err ? err : pat_hex(hex, hash, sizeof hash);
}

static int derive(const struct pat_aws4 *r, uint8_t key[HASH])
{
    const char *const steps[] = { r->region, "s3", "aws4_request" };
    struct pat_buf first;
    int err;

    pat_buf_init(&first, 1024);
    pat_buf_addf(&first, "AWS4%s", r->secret_key);
    err = first.err ? first.err : pat_hmac_sha256(first.data, first.len, r->time, DAY, key);
    pat_buf_fini(&first);
    for (size_t i = 0; !err && i < sizeof steps / sizeof steps[0]; i++) {
        uint8_t next[HASH];
        err = pat_hmac_sha256(key, HASH, steps[i], strlen(steps[i]), next);
        memcpy(key, next, HASH);
    }
    return err;
}

int pat_sign_aws4(struct pat_buf *out, const struct pat_aws4 *r)
{
    struct pat_buf text;
    uint8_t key[HASH], mac[HASH];
    int err;

    if (strlen(r->time) < DAY)
        return PAT_EINVAL;
    pat_buf_init(&text, 1024);
    pat_buf_addf(&text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/s3/aws4_request\n", r->time, r->time,
                 r->region);
    err = canonical_hash(r, &text);
    if (!err)
        err = derive(r, key);
    if (!err)
        err = pat_hmac_sha256(key, sizeof key, text.data, text.len, mac);
    pat_buf_fini(&text);
    if (err)
        return err;
    pat_buf_addf(out, "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/s3/aws4_request,SignedHeaders=",
                 r->access_key, r->time, r->region);
    add_names(out, r->headers);
    pat_buf_adds(out, ",Signature=");
    return pat_hex(out, mac, sizeof mac);
}
