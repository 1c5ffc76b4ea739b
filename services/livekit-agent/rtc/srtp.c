/* srtp.c - libsrtp2 behind srtp.h: one context out, one in, each for any SSRC.
 * How: DTLS gives client key, server key, client salt, server salt; libsrtp wants key and salt
 * together. Retransmissions need nothing here: the caller sends the sealed bytes again. */
#include "srtp.h"

#include <openssl/crypto.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>

/* Late packets and the server's retransmissions are up to 1,024 behind. */
#define WINDOW 1024

struct srtp_pair {
    srtp_t out;
    srtp_t in;
};

struct profile {
    unsigned id;
    srtp_profile_t native;
    size_t key_len;
    size_t salt_len;
};

static const struct profile profiles[] = {
    { 0x0001, srtp_profile_aes128_cm_sha1_80, 16, 14 },
    { 0x0007, srtp_profile_aead_aes_128_gcm, 16, 12 },
    { 0x0008, srtp_profile_aead_aes_256_gcm, 32, 12 },
};

static const struct profile *find_profile(unsigned id)
{
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++)
        if (profiles[i].id == id)
            return &profiles[i];
    return NULL;
}

int srtp_global_init(void)
{
    srtp_err_status_t st = srtp_init();

    if (st == srtp_err_status_ok)
        return PAT_OK;
    srtp_shutdown(); /* it keeps what it had begun with, and would refuse to begin with it again */
    return st == srtp_err_status_alloc_fail ? PAT_ENOMEM : PAT_EINTERNAL;
}

void srtp_global_fini(void)
{
    srtp_shutdown();
}

size_t srtp_material_len(unsigned profile)
{
    const struct profile *p = find_profile(profile);

    return p ? 2 * (p->key_len + p->salt_len) : 0;
}

static int context_new(srtp_t *out, const struct profile *p, const uint8_t *material, int side,
                       srtp_ssrc_type_t direction)
{
    uint8_t key[SRTP_MATERIAL_MAX / 2];
    srtp_policy_t policy = { .ssrc = { .type = direction }, .key = key, .window_size = WINDOW };

    memcpy(key, material + (size_t)side * p->key_len, p->key_len);
    memcpy(key + p->key_len, material + 2 * p->key_len + (size_t)side * p->salt_len, p->salt_len);
    srtp_err_status_t st = srtp_crypto_policy_set_from_profile_for_rtp(&policy.rtp, p->native);
    if (!st)
        st = srtp_crypto_policy_set_from_profile_for_rtcp(&policy.rtcp, p->native);
    if (!st)
        st = srtp_create(out, &policy);
    OPENSSL_cleanse(key, sizeof key);
    if (st == srtp_err_status_alloc_fail)
        return PAT_ENOMEM;
    return st == srtp_err_status_ok ? PAT_OK : PAT_EINTERNAL;
}

int srtp_pair_new(struct srtp_pair **out, unsigned profile, const uint8_t *material,
                  bool we_are_server)
{
    const struct profile *p = find_profile(profile);
    struct srtp_pair *s;
    int err;

    if (!p)
        return PAT_EPROTO;
    s = calloc(1, sizeof *s);
    if (!s)
        return PAT_ENOMEM;
    err = context_new(&s->out, p, material, we_are_server ? 1 : 0, ssrc_any_outbound);
    if (err)
        goto fail;
    err = context_new(&s->in, p, material, we_are_server ? 0 : 1, ssrc_any_inbound);
    if (err)
        goto fail_out;
    *out = s;
    return PAT_OK;

fail_out:
    srtp_dealloc(s->out);
fail:
    free(s);
    return err;
}

void srtp_pair_free(struct srtp_pair *p)
{
    if (!p)
        return;
    srtp_dealloc(p->out);
    srtp_dealloc(p->in);
    free(p);
}

static int run(srtp_err_status_t (*fn)(srtp_t, void *, int *), srtp_t ctx, uint8_t *data,
               size_t *len)
{
    int n = (int)*len;

    if (fn(ctx, data, &n) != srtp_err_status_ok || n < 0)
        return PAT_EAUTH;
    *len = (size_t)n;
    return PAT_OK;
}

int srtp_pair_seal(struct srtp_pair *p, uint8_t *data, size_t *len)
{
    return run(srtp_protect, p->out, data, len);
}

int srtp_pair_seal_rtcp(struct srtp_pair *p, uint8_t *data, size_t *len)
{
    return run(srtp_protect_rtcp, p->out, data, len);
}

int srtp_pair_open(struct srtp_pair *p, uint8_t *data, size_t *len)
{
    return run(srtp_unprotect, p->in, data, len);
}

int srtp_pair_open_rtcp(struct srtp_pair *p, uint8_t *data, size_t *len)
{
    return run(srtp_unprotect_rtcp, p->in, data, len);
}
