/* dtls_id.h - between dtls_id.c and dtls.c only. */
#ifndef RTC_DTLS_ID_H
#define RTC_DTLS_ID_H

struct dtls_id;
struct ssl_ctx_st;

struct ssl_ctx_st *dtls_id_ctx(const struct dtls_id *id);

#endif
