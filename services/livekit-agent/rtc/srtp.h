/* srtp.h - encrypts and decrypts the media of one peer connection (RFC 3711, RFC 7714).
 *
 * Works in place. libsrtp2 is process-wide: srtp_pair_new starts it on first use of srtp_global.
 * Thread: the loop's.
 */
#ifndef RTC_SRTP_H
#define RTC_SRTP_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

/* Room a packet must have behind its end: tag, and RTCP's index. */
#define SRTP_TRAILER 48
/* Both keys and both salts of the largest profile (RFC 7714: 32 + 12). */
#define SRTP_MATERIAL_MAX 88
/* As DTLS names them, best first. */
#define SRTP_PROFILES "SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80"

int srtp_global_init(void) PAT_MUST_CHECK; /* once per process, before the rest */
void srtp_global_fini(void);

struct srtp_pair;

/* Bytes of key material a DTLS profile (its IANA number) needs; 0: unknown. */
size_t srtp_material_len(unsigned profile);
/* material: as exported by DTLS, client's key first (RFC 5764 section 4.2). */
int srtp_pair_new(struct srtp_pair **out, unsigned profile, const uint8_t *material,
                  bool we_are_server) PAT_MUST_CHECK;
void srtp_pair_free(struct srtp_pair *p);

/* *len grows by at most SRTP_TRAILER. */
int srtp_pair_seal(struct srtp_pair *p, uint8_t *data, size_t *len) PAT_MUST_CHECK;
int srtp_pair_seal_rtcp(struct srtp_pair *p, uint8_t *data, size_t *len) PAT_MUST_CHECK;
/* PAT_EAUTH: forged, broken, or seen before. */
int srtp_pair_open(struct srtp_pair *p, uint8_t *data, size_t *len) PAT_MUST_CHECK;
int srtp_pair_open_rtcp(struct srtp_pair *p, uint8_t *data, size_t *len) PAT_MUST_CHECK;

#endif
