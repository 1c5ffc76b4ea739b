/* srtp_gcm.h - AES-GCM of libcrypto for libsrtp2 (RFC 7714), in place of the library's own.
 *
 * Debian's libsrtp2 has its ciphers from NSS, which makes a new context with a key schedule for
 * each packet; here a stream's key is set up once. All that is SRTP stays the library's.
 * Thread: the loop's.
 */
#ifndef RTC_SRTP_GCM_H
#define RTC_SRTP_GCM_H

#include "err.h"

/* After srtp_init, before the first context. The library first tests both ciphers with known
 * answers, those of its own and ours. PAT_ENOMEM. PAT_EINTERNAL: an answer was wrong. */
int srtp_gcm_use(void) PAT_MUST_CHECK;

#endif
