/* dtls.c - one DTLS session over callbacks.
 * How: an own BIO gives OpenSSL exactly one datagram to read and passes each write on as one
 * datagram (a memory BIO glues them together, past the link's MTU). A timer drives retransmission.
 * It knows nothing of ICE or SCTP. */
#include "dtls.h"

#include "dtls_id.h"
#include "log.h"
#include "srtp.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define RECORD_MAX 16384
#define HEAD_LEN   13       /* of a record: RFC 6347, 4.1 */
#define SEALED_MIN (8 + 16) /* of its content: nonce and tag of AES-GCM (RFC 5288, 3) */

enum dtls_state { DTLS_IDLE, DTLS_SHAKING, DTLS_UP, DTLS_DOWN };

struct dtls {
    struct dtls_events ev;
    void *arg;
    enum dtls_state state;
    bool server;
    SSL *ssl;
    BIO_METHOD *method;
    struct pat_timer retransmit;
    const uint8_t *in; /* the datagram being read, borrowed */
    size_t in_len;
    uint8_t fingerprint[32];
};

static int bio_write(BIO *b, const char *data, int len)
{
    struct dtls *d = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    if (len > 0)
        d->ev.send((const uint8_t *)data, (size_t)len, d->arg);
    return len;
}

/* A datagram is read at once or not at all; what does not fit is lost, as with a socket. */
static int bio_read(BIO *b, char *out, int cap)
{
    struct dtls *d = BIO_get_data(b);
    size_t n = d->in_len;

    BIO_clear_retry_flags(b);
    if (!d->in) {
        BIO_set_retry_read(b);
        return -1;
    }
    if (cap < 0 || n > (size_t)cap)
        n = cap < 0 ? 0 : (size_t)cap;
    memcpy(out, d->in, n);
    d->in = NULL;
    return (int)n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b;
    (void)num;
    (void)ptr;
    switch (cmd) {
    case BIO_CTRL_FLUSH:
        return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
        return DTLS_MTU;
    default:
        return 0;
    }
}

static void go_down(struct dtls *d, int err)
{
    if (d->state == DTLS_DOWN)
        return;
    d->state = DTLS_DOWN;
    pat_timer_stop(&d->retransmit);
    ERR_clear_error();
    d->ev.down(err, d->arg);
}

static bool peer_is_the_announced_one(struct dtls *d)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    X509 *cert = SSL_get1_peer_certificate(d->ssl);
    bool same = cert && X509_digest(cert, EVP_sha256(), md, &n) && n == sizeof d->fingerprint &&
                CRYPTO_memcmp(md, d->fingerprint, n) == 0;

    X509_free(cert);
    return same;
}

static void plan_retransmit(struct dtls *d)
{
    struct timeval left;

    if (d->state == DTLS_SHAKING && DTLSv1_get_timeout(d->ssl, &left) == 1)
        pat_timer_start(&d->retransmit, (int64_t)left.tv_sec * 1000 + left.tv_usec / 1000 + 1);
    else
        pat_timer_stop(&d->retransmit);
}

static void shake(struct dtls *d)
{
    int rc = SSL_do_handshake(d->ssl);

    if (rc == 1) {
        pat_timer_stop(&d->retransmit);
        if (!peer_is_the_announced_one(d)) {
            pat_log(PAT_WARN, "rtc.fingerprint_mismatch");
            go_down(d, PAT_EAUTH);
            return;
        }
        d->state = DTLS_UP;
        d->ev.up(d->arg);
        return;
    }
    int why = SSL_get_error(d->ssl, rc);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        plan_retransmit(d);
    else
        go_down(d, PAT_EPROTO);
}

static void read_records(struct dtls *d)
{
    uint8_t record[RECORD_MAX];
    int n;

    while (d->state == DTLS_UP && (n = SSL_read(d->ssl, record, sizeof record)) > 0)
        d->ev.data(record, (size_t)n, d->arg);
    if (d->state != DTLS_UP || (SSL_get_shutdown(d->ssl) & SSL_RECEIVED_SHUTDOWN) == 0) {
        ERR_clear_error(); /* a forged or repeated record is no reason to end */
        return;
    }
    go_down(d, PAT_ECONN);
}

/* OpenSSL 3.0 takes a sealed record too short to be one for a fault of its own and ends the
 * session, and anybody can send one. */
static bool has_stunted(const uint8_t *data, size_t len)
{
    while (len >= HEAD_LEN) {
        size_t content = (size_t)data[11] << 8 | data[12];

        if ((data[3] || data[4]) && content < SEALED_MIN)
            return true;
        if (content > len - HEAD_LEN)
            break;
        data += HEAD_LEN + content;
        len -= HEAD_LEN + content;
    }
    return false;
}

static void on_retransmit(void *arg)
{
    struct dtls *d = arg;

    if (d->state != DTLS_SHAKING)
        return;
    if (DTLSv1_handle_timeout(d->ssl) < 0) {
        go_down(d, PAT_EPROTO);
        return;
    }
    plan_retransmit(d);
}

void dtls_input(struct dtls *d, const uint8_t *data, size_t len)
{
    if ((d->state != DTLS_SHAKING && d->state != DTLS_UP) || has_stunted(data, len))
        return;
    d->in = data;
    d->in_len = len;
    ERR_clear_error();
    if (d->state == DTLS_SHAKING)
        shake(d);
    if (d->state == DTLS_UP)
        read_records(d);
    d->in = NULL;
}

void dtls_start(struct dtls *d, bool as_server, const uint8_t fingerprint[32])
{
    if (d->state != DTLS_IDLE)
        return;
    memcpy(d->fingerprint, fingerprint, sizeof d->fingerprint);
    d->server = as_server;
    d->state = DTLS_SHAKING;
    if (as_server)
        SSL_set_accept_state(d->ssl);
    else
        SSL_set_connect_state(d->ssl);
    ERR_clear_error();
    shake(d);
}

int dtls_send(struct dtls *d, const uint8_t *data, size_t len)
{
    if (d->state != DTLS_UP)
        return PAT_ECONN;
    ERR_clear_error();
    return SSL_write(d->ssl, data, (int)len) > 0 ? PAT_OK : PAT_EIO;
}

int dtls_srtp_keys(struct dtls *d, unsigned *profile, uint8_t *material, size_t cap)
{
    static const char label[] = "EXTRACTOR-dtls_srtp";
    const SRTP_PROTECTION_PROFILE *p = SSL_get_selected_srtp_profile(d->ssl);
    size_t len = p ? srtp_material_len((unsigned)p->id) : 0;

    if (!len || len > cap)
        return PAT_EPROTO;
    if (SSL_export_keying_material(d->ssl, material, len, label, sizeof label - 1, NULL, 0, 0) != 1)
        return PAT_EPROTO;
    *profile = (unsigned)p->id;
    return PAT_OK;
}

bool dtls_is_server(const struct dtls *d)
{
    return d->server;
}

static BIO_METHOD *method_new(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "datagrams");

    if (!m)
        return NULL;
    BIO_meth_set_write(m, bio_write);
    BIO_meth_set_read(m, bio_read);
    BIO_meth_set_ctrl(m, bio_ctrl);
    return m;
}

static bool attach(struct dtls *d, struct dtls_id *id)
{
    BIO *bio = NULL;

    d->ssl = SSL_new(dtls_id_ctx(id));
    d->method = method_new();
    if (d->ssl && d->method)
        bio = BIO_new(d->method);
    if (!bio)
        return false;
    BIO_set_data(bio, d);
    BIO_set_init(bio, 1);
    SSL_set_bio(d->ssl, bio, bio);
    SSL_set_mtu(d->ssl, DTLS_MTU);
    return true;
}

int dtls_new(struct dtls **out, struct pat_loop *l, struct dtls_id *id,
             const struct dtls_events *ev, void *arg)
{
    struct dtls *d = calloc(1, sizeof *d);
    int err;

    if (!d)
        return PAT_ENOMEM;
    d->ev = *ev;
    d->arg = arg;
    err = pat_timer_init(&d->retransmit, l, on_retransmit, d);
    if (err)
        goto fail;
    err = PAT_ENOMEM;
    if (!attach(d, id))
        goto fail_timer;
    *out = d;
    return PAT_OK;

fail_timer:
    SSL_free(d->ssl);
    BIO_meth_free(d->method);
    pat_timer_fini(&d->retransmit);
fail:
    free(d);
    return err;
}

void dtls_free(struct dtls *d)
{
    if (!d)
        return;
    if (d->state == DTLS_UP)
        (void)SSL_shutdown(d->ssl);
    ERR_clear_error();
    pat_timer_fini(&d->retransmit);
    SSL_free(d->ssl);
    BIO_meth_free(d->method);
    free(d);
}
