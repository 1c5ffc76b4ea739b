/* http_private.h - the HTTP client inside, for http.c and http_request.c: nobody else knows curl.
 */
#ifndef PAT_HTTP_PRIVATE_H
#define PAT_HTTP_PRIVATE_H

#include "buf.h"
#include "http.h"
#include "http_ids.h"

#include <curl/curl.h>

#define HTTP_SPARE_HANDLES 32 /* curl_easy_init costs more than a reset */

struct sock;

struct transfer {
    struct pat_http *http;
    pat_http_id id;
    CURL *easy;
    struct curl_slist *headers;
    char *body;
    pat_http_data_fn *on_data;
    pat_http_done_fn *done;
    void *arg;
    struct pat_timer deadline;
    int64_t idle_ms;
    struct pat_buf answer;
    struct pat_buf head;
    size_t seen; /* body bytes, streamed or collected */
    size_t max_body;
    int status;
    int err;         /* why a callback of ours refused */
    bool not_public; /* an address was refused */
    const char *fault;
    int64_t started_ms;
    int64_t first_byte_ms;
    bool added; /* curl's multi has it */
    bool dead;  /* canceled; freed in the next turn */
    struct transfer *next;
};

struct pat_http {
    struct pat_loop *loop;
    CURLM *multi;
    struct pat_timer timer;
    struct pat_task kick;
    struct pat_task sweep;
    bool in_curl;
    struct http_ids ids;
    struct transfer *to_add;
    struct transfer *to_free;
    struct sock *socks;
    CURL *spare[HTTP_SPARE_HANDLES];
    size_t n_spare;
    char *user_agent;
    char *ca_file;
    bool public_only;
};

/* All that curl is to know of one request; nothing of *req is needed after it. PAT_EINVAL: a header
 * that is none. What it has made belongs to t, also on an error. */
int http_request_set(struct transfer *t, const struct pat_http_req *req,
                     int64_t timeout_ms) PAT_MUST_CHECK;

#endif
