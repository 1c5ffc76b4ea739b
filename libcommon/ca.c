/* ca.c - two lookups of a context's store: OpenSSL's own of the hashed directory, then one of ours
 * that reads the bundle into the store the first time it is asked.
 * A lookup that answers lends the certificate: the store keeps it. */
#include "ca.h"

#include <stdlib.h>

static const char *bundle_path(void)
{
    const char *path = getenv(X509_get_default_cert_file_env());

    return path ? path : X509_get_default_cert_file();
}

/* The method's data is not NULL once the bundle has been read. */
static void read_once(X509_LOOKUP *l)
{
    if (X509_LOOKUP_get_method_data(l))
        return;
    (void)X509_LOOKUP_set_method_data(l, l);
    (void)X509_STORE_load_file(X509_LOOKUP_get_store(l), bundle_path()); /* none: nobody in it */
}

static int by_subject(X509_LOOKUP *l, X509_LOOKUP_TYPE type, const X509_NAME *name,
                      X509_OBJECT *out)
{
    X509_STORE *store = X509_LOOKUP_get_store(l);
    X509 *found = NULL;

    if (type != X509_LU_X509)
        return 0;
    read_once(l);
    X509_STORE_lock(store);
    X509_OBJECT *o = X509_OBJECT_retrieve_by_subject(X509_STORE_get0_objects(store), type, name);
    if (o)
        found = X509_OBJECT_get0_X509(o);
    if (found && X509_OBJECT_set1_X509(out, found))
        X509_free(found); /* lent */
    else
        found = NULL;
    X509_STORE_unlock(store);
    return found != NULL;
}

int ca_bundle_new(X509_LOOKUP_METHOD **out)
{
    X509_LOOKUP_METHOD *m = X509_LOOKUP_meth_new("certificates read when asked for");

    if (!m)
        return PAT_ENOMEM;
    if (X509_LOOKUP_meth_set_get_by_subject(m, by_subject) != 1) {
        X509_LOOKUP_meth_free(m);
        return PAT_ENOMEM;
    }
    *out = m;
    return PAT_OK;
}

void ca_bundle_free(X509_LOOKUP_METHOD *bundle)
{
    X509_LOOKUP_meth_free(bundle);
}

int ca_use_default(SSL_CTX *ctx, X509_LOOKUP_METHOD *bundle)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    X509_LOOKUP *dir = X509_STORE_add_lookup(store, X509_LOOKUP_hash_dir());

    if (!dir || X509_LOOKUP_add_dir(dir, NULL, X509_FILETYPE_DEFAULT) != 1 ||
        !X509_STORE_add_lookup(store, bundle))
        return PAT_ENOMEM;
    return PAT_OK;
}
