/* httpd_fixture.h - for tests: the routes of a server under test, which echo, hold, fail.
 *
 * Include after cmocka.h.
 */
#ifndef PAT_TEST_HTTPD_FIXTURE_H
#define PAT_TEST_HTTPD_FIXTURE_H

#include "buf.h"
#include "httpd.h"
#include "test/net_fixture.h"

#include <stdio.h>
#include <string.h>

#define HOST "Host: x\r\n"

/* ---- routes of the server under test ---- */

struct held {
    struct pat_httpd_req *req;
    int calls;
};

static inline void on_echo(struct pat_httpd_req *r, void *arg)
{
    size_t len;
    const char *body = pat_httpd_body(r, &len);

    (void)arg;
    pat_httpd_reply(r, 200, "text/plain", body, len);
}

static inline void on_hello(struct pat_httpd_req *r, void *arg)
{
    char text[512];
    const char *who = pat_httpd_query_param(r, "who");

    (void)arg;
    snprintf(text, sizeof text, "%s %s from %s q=%s who=%s", pat_httpd_method(r),
             pat_httpd_param(r, "name"), pat_httpd_peer(r), pat_httpd_query(r), who ? who : "-");
    pat_httpd_set_header(r, "X-Test", "yes");
    pat_httpd_reply(r, 200, "text/plain", text, strlen(text));
}

static inline void on_hold(struct pat_httpd_req *r, void *arg)
{
    struct held *h = arg;

    h->req = r;
    h->calls++;
}

static inline void on_form(struct pat_httpd_req *r, void *arg)
{
    const struct pat_param *params;
    struct pat_buf out;
    size_t n;
    int err = pat_httpd_form(r, &params, &n);

    (void)arg;
    if (err) {
        pat_httpd_reply_error(r, err, "body", "not a form");
        return;
    }
    pat_buf_init(&out, 4096);
    for (size_t i = 0; i < n; i++)
        pat_buf_addf(&out, "[%s|%s]", params[i].name, params[i].value);
    pat_httpd_reply(r, 200, "text/plain", out.data, out.len);
    pat_buf_fini(&out);
}

static inline void on_fail(struct pat_httpd_req *r, void *arg)
{
    (void)arg;
    pat_httpd_reply_error(r, PAT_EPERM, "call.\"from\"", "no");
}

static inline void on_abort(struct pat_httpd_req *r, void *arg)
{
    (void)arg;
    pat_httpd_abort(r);
}

static struct held held;

static inline void routes(struct pat_httpd *s)
{
    held = (struct held){ 0 };
    assert_int_equal(pat_httpd_route(s, "POST", "/echo", 0, on_echo, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "PUT", "/echo", 0, on_echo, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "POST", "/big", 1 << 20, on_echo, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "GET", "/hello/{name}", 0, on_hello, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "DELETE", "/hello/{name}", 0, on_hello, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "POST", "/hello/all", 0, on_echo, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "GET", "/files/{name*}", 0, on_hello, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "GET", "/hold", 0, on_hold, &held), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "POST", "/form", 0, on_form, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "GET", "/fail", 0, on_fail, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "GET", "/abort", 0, on_abort, NULL), PAT_OK);
}

static inline int setup(void **state)
{
    static const struct pat_httpd_opts opts = { .listen = "127.0.0.1:0",
                                                .max_connections = 8,
                                                .max_body = 4096 };

    *state = fixture_new(&opts, routes);
    return 0;
}

static inline int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
