/* ca.h - whom a TLS client of ours trusts by default, without reading all of them at start.
 *
 * OpenSSL's default is to parse a bundle of some 140 certificates into a context, 0.7 MiB of them,
 * for the two or three that are ever asked for. Here they are looked up in the hashed directory
 * (SSL_CERT_DIR) when a peer shows a chain, and the bundle (SSL_CERT_FILE) is read when one is not
 * there. Who is trusted is the same.
 */
#ifndef PAT_CA_H
#define PAT_CA_H

#include "err.h"

#include <openssl/ssl.h>

/* How a bundle is looked into; goes after the contexts that use it. PAT_ENOMEM. */
int ca_bundle_new(X509_LOOKUP_METHOD **out) PAT_MUST_CHECK;
void ca_bundle_free(X509_LOOKUP_METHOD *bundle);

/* For a context, once. PAT_ENOMEM. */
int ca_use_default(SSL_CTX *ctx, X509_LOOKUP_METHOD *bundle) PAT_MUST_CHECK;

#endif
