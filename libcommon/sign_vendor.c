/* sign_vendor.c - the request signatures of Retell, ElevenLabs and SignalWire, and our own
 * short one.
 *
 * Each is a keyed digest over bytes put together in the vendor's way; comparing is done on the
 * decoded bytes. An empty key never verifies anything.
 */
#include "sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETELL_WINDOW_MS = 5 * 60 * 1000,
    ELEVENLABS_WINDOW_S = 30 * 60,
    SIGNED_MAX = 16 << 20, /* more than any body our servers take */
    URL_MAX = 8192,
    SHORT_BYTES = 16,
};

/* --- Keys ------------------------------------------------------------------------------------- */

static int mac_of(const char *key, size_t key_len, const char *text, size_t len, size_t mac_len,
                  uint8_t mac[32])
{
    return mac_len == 20 ? pat_hmac_sha1(key, key_len, text, len, mac)
                         : pat_hmac_sha256(key, key_len, text, len, mac);
}

/* Does one of the comma-separated keys sign text? */
static int check_keys(const uint8_t *mac, size_t mac_len, const char *keys,
                      const struct pat_buf *text)
{
    uint8_t ours[32];
    size_t n;

    for (; *keys; keys += n + (keys[n] == ',')) {
        const char *key = keys + strspn(keys, " ");
        size_t len;
        int err;

        n = strcspn(keys, ",");
        len = key < keys + n ? strcspn(key, ", ") : 0;
        if (!len)
            continue;
        err = mac_of(key, len, text->data, text->len, mac_len, ours);
        if (err)
            return err;
        if (pat_equal_ct(mac, ours, mac_len))
            return PAT_OK;
    }
    return PAT_EAUTH;
}

/* --- Retell ----------------------------------------------------------------------------------- */

/* What is signed. */
static int retell_text(struct pat_buf *out, const void *body, size_t len, int64_t ms)
{
    pat_buf_init(out, SIGNED_MAX);
    (void)pat_buf_reserve(out, len + 24); /* one allocation; a failure sticks */
    pat_buf_add(out, body, len);
    return pat_buf_addf(out, "%lld", (long long)ms);
}

int pat_sign_retell(struct pat_buf *out, const char *api_key, const void *body, size_t len,
                    int64_t now_ms)
{
    struct pat_buf text;
    uint8_t mac[32];
    int err;

    if (!*api_key)
        return PAT_EINVAL;
    err = retell_text(&text, body, len, now_ms);
    if (!err)
        err = pat_hmac_sha256(api_key, strlen(api_key), text.data, text.len, mac);
    pat_buf_fini(&text);
    if (err)
        return err;
    pat_buf_addf(out, "v=%lld,d=", (long long)now_ms);
    return pat_hex(out, mac, sizeof mac);
}

/* "v=<ms>,d=<64 hex digits>", nothing else. */
static bool retell_header(const char *s, int64_t *ms, uint8_t mac[32])
{
    size_t digits;
    size_t len;

    if (strncmp(s, "v=", 2) != 0)
        return false;
    s += 2;
    digits = strspn(s, "0123456789");
    if (!digits || digits > 15 || strncmp(s + digits, ",d=", 3) != 0)
        return false;
    *ms = strtoll(s, NULL, 10);
    return !pat_unhex(mac, 32, s + digits + 3, &len) && len == 32;
}

int pat_sign_retell_verify(const char *header, const char *keys, const void *body, size_t len,
                           int64_t now_ms)
{
    struct pat_buf text;
    uint8_t mac[32];
    int64_t ms;
    int err;

    if (!header || !keys || !retell_header(header, &ms, mac))
        return PAT_EAUTH;
    err = retell_text(&text, body, len, ms);
    if (!err)
        err = check_keys(mac, sizeof mac, keys, &text);
    pat_buf_fini(&text);
    if (err)
        return err;
    return llabs((long long)(now_ms - ms)) > RETELL_WINDOW_MS ? PAT_ESTALE : PAT_OK;
}

/* --- ElevenLabs ------------------------------------------------------------------------------- */

static int elevenlabs_mac(const char *secret, const void *body, size_t len, int64_t at_s,
                          uint8_t mac[32])
{
    struct pat_buf text;
    int err;

    pat_buf_init(&text, SIGNED_MAX);
    (void)pat_buf_reserve(&text, len + 24);
    pat_buf_addf(&text, "%lld.", (long long)at_s);
    pat_buf_add(&text, body, len);
    err = text.err;
    if (!err)
        err = pat_hmac_sha256(secret, strlen(secret), text.data, text.len, mac);
    pat_buf_fini(&text);
    return err;
}

int pat_sign_elevenlabs(struct pat_buf *out, const char *secret, const void *body, size_t len,
                        int64_t now_s)
{
    uint8_t mac[32];
    int err = *secret ? elevenlabs_mac(secret, body, len, now_s, mac) : PAT_EINVAL;

    if (err)
        return err;
    pat_buf_addf(out, "t=%lld,v0=", (long long)now_s);
    return pat_hex(out, mac, sizeof mac);
}

/* The next part of "t=<s>,v0=<hex>", in any order; 0: there is none. */
static size_t next_part(const char **at)
{
    *at += strspn(*at, ", ");
    return strcspn(*at, ",");
}

static bool elevenlabs_time(const char *s, int64_t *at_s)
{
    for (size_t n; (n = next_part(&s)); s += n) {
        size_t digits = strncmp(s, "t=", 2) ? 0 : strspn(s + 2, "0123456789");

        if (digits && digits <= 12 && digits == n - 2) {
            *at_s = strtoll(s + 2, NULL, 10);
            return true;
        }
    }
    return false;
}

/* Is it one of the digests? There are two while the sender's secret is changed. */
static bool elevenlabs_has(const char *s, const uint8_t mac[32])
{
    for (size_t n; (n = next_part(&s)); s += n) {
        uint8_t theirs[32];
        char hex[65];
        size_t len;

        if (n == 3 + 64 && !strncmp(s, "v0=", 3) &&
            snprintf(hex, sizeof hex, "%.64s", s + 3) == 64 && !pat_unhex(theirs, 32, hex, &len) &&
            len == 32 && pat_equal_ct(theirs, mac, 32))
            return true;
    }
    return false;
}

int pat_sign_elevenlabs_verify(const char *header, const char *secret, const void *body, size_t len,
                               int64_t now_s)
{
    uint8_t ours[32];
    int64_t at_s = 0;
    int err;

    if (!header || !secret || !*secret || !elevenlabs_time(header, &at_s))
        return PAT_EAUTH;
    err = elevenlabs_mac(secret, body, len, at_s, ours);
    if (err)
        return err;
    if (!elevenlabs_has(header, ours))
        return PAT_EAUTH;
    return llabs((long long)(now_s - at_s)) > ELEVENLABS_WINDOW_S ? PAT_ESTALE : PAT_OK;
}

/* --- SignalWire ------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct pat_param *const *x = a;
    const struct pat_param *const *y = b;
    int order = strcmp((*x)->name, (*y)->name);

    return order ? order : (*x > *y) - (*x < *y); /* repeated names keep their order */
}

/* Adds name value name value ..., sorted by name. */
static int add_params(struct pat_buf *text, const struct pat_param *params, size_t n)
{
    const struct pat_param *few[64];
    const struct pat_param **all = few;

    if (n > sizeof few / sizeof few[0]) {
        all = calloc(n, sizeof *all);
        if (!all)
            return PAT_ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        all[i] = &params[i];
    if (n > 1)
        qsort(all, n, sizeof *all, by_name);
    for (size_t i = 0; i < n; i++) {
        pat_buf_adds(text, all[i]->name);
        pat_buf_adds(text, all[i]->value);
    }
    if (all != few)
        free(all);
    return text->err;
}

/* What follows the URL in the signed text, and how it is digested. */
struct claim {
    const uint8_t *mac;
    size_t mac_len; /* 20: SHA-1, 32: SHA-256 */
    const void *tail;
    size_t tail_len;
};

/* The URL taken apart, as far as signing needs it. */
struct url {
    const char *user; /* behind "://" */
    const char *host; /* behind the user's part */
    const char *port; /* ":443", or where it would stand */
    const char *path;
    const char *fragment;
    const char *default_port;
};

static bool take_apart(const char *s, struct url *u)
{
    const char *sep = strstr(s, "://");
    const char *at;
    const char *v6;

    if (!sep || strlen(s) > URL_MAX)
        return false;
    u->user = sep + 3;
    u->path = u->user + strcspn(u->user, "/?#");
    at = memrchr(u->user, '@', (size_t)(u->path - u->user));
    u->host = at ? at + 1 : u->user;
    v6 = memrchr(u->host, ']', (size_t)(u->path - u->host));
    u->port = memchr(v6 ? v6 : u->host, ':', (size_t)(u->path - (v6 ? v6 : u->host)));
    if (!u->port)
        u->port = u->path;
    u->fragment = u->path + strcspn(u->path, "#");
    u->default_port = !strncmp(s, "http:", 5) ? ":80" : ":443";
    return true;
}

enum { NO_USER = 1, OTHER_PORT = 2, NO_FRAGMENT = 4, VARIANTS = 8 };

/* Is there such a form of the URL besides those with fewer changes? */
static bool has_variant(const struct url *u, int variant)
{
    size_t port = (size_t)(u->path - u->port);
    bool is_default = port == strlen(u->default_port) && !strncmp(u->port, u->default_port, port);

    if ((variant & NO_USER) && u->host == u->user)
        return false;
    if ((variant & OTHER_PORT) && port && !is_default)
        return false;
    return !(variant & NO_FRAGMENT) || *u->fragment;
}

static void put_variant(struct pat_buf *text, const char *s, const struct url *u, int variant)
{
    const char *host = variant & NO_USER ? u->host : u->user;

    pat_buf_add(text, s, (size_t)(u->user - s));
    pat_buf_add(text, host, (size_t)(u->port - host));
    if (!(variant & OTHER_PORT))
        pat_buf_add(text, u->port, (size_t)(u->path - u->port));
    else if (u->port == u->path)
        pat_buf_adds(text, u->default_port);
    pat_buf_add(text, u->path, (size_t)(u->fragment - u->path));
    if (!(variant & NO_FRAGMENT))
        pat_buf_adds(text, u->fragment);
}

/* Proxies, and the vendor itself, are not of one mind about how a URL is written: each form that
 * means the same is tried, the one we were configured with first. */
static int check_urls(const struct claim *c, const char *keys, const char *url)
{
    struct pat_buf text;
    struct url u;
    int err = PAT_EAUTH;

    if (!keys || !take_apart(url, &u))
        return PAT_EAUTH;
    pat_buf_init(&text, SIGNED_MAX);
    (void)pat_buf_reserve(&text, strlen(url) + 8 + c->tail_len);
    for (int variant = 0; variant < VARIANTS && err == PAT_EAUTH; variant++) {
        if (!has_variant(&u, variant))
            continue;
        text.len = 0;
        put_variant(&text, url, &u, variant);
        pat_buf_add(&text, c->tail, c->tail_len);
        err = text.err ? text.err : check_keys(c->mac, c->mac_len, keys, &text);
    }
    pat_buf_fini(&text);
    return err;
}

int pat_sign_signalwire_json_verify(const char *signature, const char *keys, const char *url,
                                    const void *body, size_t len)
{
    uint8_t mac[32];
    struct claim c = { .mac = mac, .tail = body, .tail_len = len };

    if (!signature || pat_unhex(mac, sizeof mac, signature, &c.mac_len) ||
        (c.mac_len != 20 && c.mac_len != 32))
        return PAT_EAUTH;
    return check_urls(&c, keys, url);
}

int pat_sign_signalwire_form_verify(const char *signature, const char *keys, const char *url,
                                    const struct pat_param *params, size_t n)
{
    struct pat_buf mac;
    struct pat_buf tail;
    struct claim c = { .mac_len = 20 };
    int err;

    if (!signature)
        return PAT_EAUTH;
    pat_buf_init(&mac, 64);
    pat_buf_init(&tail, SIGNED_MAX);
    err = pat_unbase64(&mac, signature, strlen(signature));
    if (err || mac.len != c.mac_len)
        err = err == PAT_ENOMEM ? err : PAT_EAUTH;
    else
        err = add_params(&tail, params, n);
    if (!err) {
        c.mac = (const uint8_t *)mac.data;
        c.tail = tail.data;
        c.tail_len = tail.len;
        err = check_urls(&c, keys, url);
    }
    pat_buf_fini(&tail);
    pat_buf_fini(&mac);
    return err;
}

int pat_sign_signalwire_form(struct pat_buf *out, const char *key, const char *url,
                             const struct pat_param *params, size_t n)
{
    struct pat_buf text;
    uint8_t mac[20];
    int err;

    if (!*key)
        return PAT_EINVAL;
    pat_buf_init(&text, SIGNED_MAX);
    pat_buf_adds(&text, url);
    err = add_params(&text, params, n);
    if (!err)
        err = pat_hmac_sha1(key, strlen(key), text.data, text.len, mac);
    pat_buf_fini(&text);
    return err ? err : pat_base64(out, mac, sizeof mac);
}

int pat_sign_signalwire_json(struct pat_buf *out, const char *key, const char *url,
                             const void *body, size_t len, bool sha256)
{
    struct pat_buf text;
    uint8_t mac[32];
    size_t mac_len = sha256 ? 32 : 20;
    int err;

    if (!*key)
        return PAT_EINVAL;
    pat_buf_init(&text, SIGNED_MAX);
    pat_buf_adds(&text, url);
    err = pat_buf_add(&text, body, len);
    if (!err)
        err = mac_of(key, strlen(key), text.data, text.len, mac_len, mac);
    pat_buf_fini(&text);
    return err ? err : pat_hex(out, mac, mac_len);
}

/* --- Ours ------------------------------------------------------------------------------------- */

int pat_sign_short(struct pat_buf *out, const char *secret, const char *purpose, const char *text)
{
    struct pat_buf all;
    uint8_t mac[32];
    int err;

    if (!*secret)
        return PAT_EINVAL;
    pat_buf_init(&all, SIGNED_MAX);
    pat_buf_add(&all, purpose, strlen(purpose) + 1);
    err = pat_buf_adds(&all, text);
    if (!err)
        err = pat_hmac_sha256(secret, strlen(secret), all.data, all.len, mac);
    pat_buf_fini(&all);
    return err ? err : pat_base64url(out, mac, SHORT_BYTES);
}

int pat_sign_short_verify(const char *signature, const char *secret, const char *purpose,
                          const char *text)
{
    struct pat_buf ours;
    int err;

    if (!signature || !secret || !*secret)
        return PAT_EAUTH;
    pat_buf_init(&ours, 64);
    err = pat_sign_short(&ours, secret, purpose, text);
    if (!err && (strlen(signature) != ours.len || !pat_equal_ct(signature, ours.data, ours.len)))
        err = PAT_EAUTH;
    pat_buf_fini(&ours);
    return err;
}
