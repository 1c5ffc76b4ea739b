/* srtp_crypto.h - the ciphers of libsrtp2 by libcrypto, in place of the library's own.
 *
 * Debian's libsrtp2 has them from NSS: a second cryptographic library of 2 MiB in the process,
 * which makes a new context with a key schedule for each packet of AES-GCM. Here a stream's key is
 * set up once. All that is SRTP stays the library's: it replays, orders and derives keys itself.
 *
 * The names are those its kernel asks for: it is linked from its archive, out of which the linker
 * then takes no object that needs NSS. srtp_init tries each with known answers.
 * Thread: the loop's.
 */
#ifndef RTC_SRTP_CRYPTO_H
#define RTC_SRTP_CRYPTO_H

#include <srtp2/auth.h>
#include <srtp2/cipher.h>

extern const srtp_cipher_type_t srtp_aes_icm_128, srtp_aes_icm_192, srtp_aes_icm_256;
extern const srtp_cipher_type_t srtp_aes_gcm_128, srtp_aes_gcm_256;
extern const srtp_auth_type_t srtp_hmac;

/* What the library's srtp_set_debug_module would switch; nothing here prints. */
struct srtp_module {
    int on;
    const char *name;
};
extern struct srtp_module srtp_mod_aes_icm, srtp_mod_aes_gcm, srtp_mod_hmac;

#endif
