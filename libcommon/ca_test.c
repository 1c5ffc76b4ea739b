/* ca_test.c - a leaf is trusted when its root is in the hashed directory or in the bundle, and not
 * when it is in neither; the bundle is left alone while the directory has what is asked for. */
#include "ca.h"

#include "test/cmocka.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct issued {
    EVP_PKEY *key;
    X509 *cert;
};

struct place {
    char dir[32];
    char bundle[64];
    char hashed[64];
    struct issued root, leaf;
    X509_LOOKUP_METHOD *method;
};

/* Signed by its issuer; without one by itself. */
static struct issued issue(const char *name, const struct issued *by)
{
    struct issued i = { .key = EVP_EC_gen("P-256"), .cert = X509_new() };
    const struct issued *issuer = by ? by : &i;
    X509_NAME *subject = X509_get_subject_name(i.cert);

    X509_set_version(i.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(i.cert), by ? 2 : 1);
    X509_gmtime_adj(X509_getm_notBefore(i.cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(i.cert), 3600);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(i.cert, X509_get_subject_name(issuer->cert));
    X509_set_pubkey(i.cert, i.key);
    if (!by) {
        X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "CA:TRUE");
        assert_int_equal(X509_add_ext(i.cert, ca, -1), 1);
        X509_EXTENSION_free(ca);
    }
    assert_true(X509_sign(i.cert, issuer->key, EVP_sha256()) > 0);
    return i;
}

static void forget(struct issued *i)
{
    X509_free(i->cert);
    EVP_PKEY_free(i->key);
}

static void write_cert(const char *path, X509 *cert)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, cert), 1);
    assert_int_equal(fclose(f), 0);
}

static SSL_CTX *context_new(struct place *p)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    assert_non_null(ctx);
    assert_int_equal(ca_use_default(ctx, p->method), PAT_OK);
    return ctx;
}

static bool trusted(SSL_CTX *ctx, X509 *leaf)
{
    X509_STORE_CTX *c = X509_STORE_CTX_new();

    assert_int_equal(X509_STORE_CTX_init(c, SSL_CTX_get_cert_store(ctx), leaf, NULL), 1);
    bool yes = X509_verify_cert(c) == 1;
    X509_STORE_CTX_free(c);
    return yes;
}

static int n_held(SSL_CTX *ctx)
{
    return sk_X509_OBJECT_num(X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx)));
}

static void test_ca__a_root_of_the_directory_is_taken_alone(void **state)
{
    struct place *p = *state;
    struct issued other = issue("another root", NULL);

    write_cert(p->hashed, p->root.cert);
    write_cert(p->bundle, other.cert);
    SSL_CTX *ctx = context_new(p);
    assert_int_equal(n_held(ctx), 0);
    for (int i = 0; i < 3; i++)
        assert_true(trusted(ctx, p->leaf.cert));
    assert_int_equal(n_held(ctx), 1);
    SSL_CTX_free(ctx);
    forget(&other);
}

static void test_ca__a_root_that_only_the_bundle_has_is_found(void **state)
{
    struct place *p = *state;

    write_cert(p->bundle, p->root.cert);
    SSL_CTX *ctx = context_new(p);
    for (int i = 0; i < 3; i++)
        assert_true(trusted(ctx, p->leaf.cert));
    SSL_CTX_free(ctx);
}

static void test_ca__a_root_of_neither_is_refused(void **state)
{
    struct place *p = *state;
    struct issued other = issue("another root", NULL);

    SSL_CTX *ctx = context_new(p);
    assert_false(trusted(ctx, p->leaf.cert)); /* no bundle at all */
    SSL_CTX_free(ctx);
    write_cert(p->bundle, other.cert);
    ctx = context_new(p);
    for (int i = 0; i < 2; i++)
        assert_false(trusted(ctx, p->leaf.cert));
    assert_true(trusted(ctx, other.cert));
    SSL_CTX_free(ctx);
    forget(&other);
}

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);

    snprintf(p->dir, sizeof p->dir, "/tmp/pat-ca-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    p->root = issue("a root", NULL);
    p->leaf = issue("a leaf", &p->root);
    snprintf(p->bundle, sizeof p->bundle, "%s/bundle.pem", p->dir);
    snprintf(p->hashed, sizeof p->hashed, "%s/%08lx.0", p->dir,
             X509_NAME_hash_ex(X509_get_subject_name(p->root.cert), NULL, NULL, NULL));
    setenv(X509_get_default_cert_dir_env(), p->dir, 1);
    setenv(X509_get_default_cert_file_env(), p->bundle, 1);
    assert_int_equal(ca_bundle_new(&p->method), PAT_OK);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;

    ca_bundle_free(p->method);
    (void)unlink(p->bundle);
    (void)unlink(p->hashed);
    (void)rmdir(p->dir);
    forget(&p->root);
    forget(&p->leaf);
    free(p);
    return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_ca__a_root_of_the_directory_is_taken_alone),
        T(test_ca__a_root_that_only_the_bundle_has_is_found),
        T(test_ca__a_root_of_neither_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
