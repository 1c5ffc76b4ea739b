/* dtls_id.c - the process's certificate and the settings all DTLS sessions share.
 * How: an own P-256 key, self-signed for a year; the peer trusts its fingerprint, which travelled
 * over the authenticated signalling socket (RFC 8827 section 6.5). */
#include "dtls_id.h"

#include "dtls.h"
#include "srtp.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

struct dtls_id {
    SSL_CTX *ctx;
    char fingerprint[3 * 32 + 1];
};

/* The chain means nothing here: dtls.c compares the fingerprint when the handshake is done. */
static int accept_any(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    (void)store;
    return 1;
}

static X509 *self_signed(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    long serial = 1;

    if (!cert)
        return NULL;
    (void)RAND_bytes((unsigned char *)&serial, 4);
    X509_NAME *name = X509_get_subject_name(cert);
    bool ok = X509_set_version(cert, 2) && ASN1_INTEGER_set(X509_get_serialNumber(cert), serial) &&
              X509_gmtime_adj(X509_getm_notBefore(cert), -86400) &&
              X509_gmtime_adj(X509_getm_notAfter(cert), 365L * 86400) &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                         (const unsigned char *)"patchbay", -1, -1, 0) &&
              X509_set_issuer_name(cert, name) && X509_set_pubkey(cert, key) &&
              X509_sign(cert, key, EVP_sha256());
    if (ok)
        return cert;
    X509_free(cert);
    return NULL;
}

static bool print_fingerprint(char out[3 * 32 + 1], const X509 *cert)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    if (!X509_digest(cert, EVP_sha256(), md, &n) || n != 32)
        return false;
    for (unsigned i = 0; i < n; i++)
        (void)snprintf(out + 3 * i, 4, "%02X:", md[i]);
    out[3 * 32 - 1] = 0;
    return true;
}

static SSL_CTX *context_new(EVP_PKEY *key, X509 *cert)
{
    SSL_CTX *ctx = SSL_CTX_new(DTLS_method());

    if (!ctx)
        return NULL;
    SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, accept_any);
    if (SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION) &&
        SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM") && /* dtls.c knows its lengths */
        SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1 &&
        SSL_CTX_set_tlsext_use_srtp(ctx, SRTP_PROFILES) == 0) /* 0 is good */
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

int dtls_id_new(struct dtls_id **out)
{
    struct dtls_id *id = calloc(1, sizeof *id);
    int err = id ? PAT_EINTERNAL : PAT_ENOMEM;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key ? self_signed(key) : NULL;

    if (!id || !cert)
        goto out;
    id->ctx = context_new(key, cert);
    if (!id->ctx || !print_fingerprint(id->fingerprint, cert))
        goto out;
    *out = id;
    id = NULL;
    err = PAT_OK;
out:
    ERR_clear_error();
    dtls_id_free(id);
    X509_free(cert);
    EVP_PKEY_free(key);
    return err;
}

void dtls_id_free(struct dtls_id *id)
{
    if (!id)
        return;
    SSL_CTX_free(id->ctx);
    free(id);
}

const char *dtls_id_fingerprint(const struct dtls_id *id)
{
    return id->fingerprint;
}

struct ssl_ctx_st *dtls_id_ctx(const struct dtls_id *id)
{
    return id->ctx;
}
