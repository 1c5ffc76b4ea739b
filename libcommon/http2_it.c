/* http2_it.c - the HTTP client against a server that speaks HTTP/2 over TLS.
 *
 * PAT_TEST_H2_URL is tests/harness/h2server.py, which says what its paths do; PAT_TEST_H1_URL the
 * same with HTTP/1.1 only; PAT_TEST_CA signed their certificates.
 */
#include "test/cmocka.h"

#include "http.h"
#include "test/loop_until.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 30000, MANY = 20, LARGE = 1 << 20 };

struct world {
    struct pat_loop *loop;
    struct pat_http *http;
};

struct outcome {
    struct world *w;
    int done, err, status;
    char body[128];
    int pieces;
    char data[128];
    pat_http_id id;
};

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    assert_int_equal(pat_loop_new(&w->loop), PAT_OK);
    assert_int_equal(pat_http_new(&w->http, w->loop,
                                  &(struct pat_http_opts){ .ca_file = getenv("PAT_TEST_CA") }),
                     PAT_OK);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    pat_http_free(w->http);
    assert_int_equal(pat_loop_free(w->loop), 0);
    free(w);
    return 0;
}

static void on_done(int err, const struct pat_http_res *res, void *arg)
{
    struct outcome *o = arg;

    o->done++;
    o->err = err;
    o->status = res->status;
    (void)snprintf(o->body, sizeof o->body, "%s", res->body);
}

static void ask(struct world *w, struct outcome *o, const char *path, pat_http_data_fn *on_data,
                const void *body, size_t len)
{
    char url[200];
    struct pat_http_req req = { .url = url,
                                .method = len ? "POST" : "GET",
                                .body = body,
                                .body_len = len,
                                .timeout_ms = TIMEOUT_MS };

    (void)snprintf(url, sizeof url, "%s%s", getenv("PAT_TEST_H2_URL"), path);
    *o = (struct outcome){ .w = w };
    assert_int_equal(pat_http_start(w->http, &req, on_data, on_done, o, &o->id), PAT_OK);
}

static void get(struct world *w, struct outcome *o, const char *path)
{
    ask(w, o, path, NULL, NULL, 0);
    loop_until(w->loop, o->done);
}

static int connection_of(const struct outcome *o)
{
    int n = 0;

    assert_int_equal(o->err, PAT_OK);
    assert_int_equal(o->status, 200);
    assert_int_equal(sscanf(o->body, "h2 connection %d", &n), 1);
    return n;
}

/* None of them is answered before all have been asked: they have to be on the way together. */
static void test_http2__many_requests_share_one_connection(void **state)
{
    struct world *w = *state;
    struct outcome o[MANY];

    for (int i = 0; i < MANY; i++)
        ask(w, &o[i], "/hold/20", NULL, NULL, 0);
    for (int i = 0; i < MANY; i++)
        loop_until(w->loop, o[i].done);
    for (int i = 1; i < MANY; i++)
        assert_int_equal(connection_of(&o[i]), connection_of(&o[0]));
}

static void on_piece(const char *data, size_t len, void *arg)
{
    struct outcome *o = arg;
    size_t at = strlen(o->data);

    o->pieces++;
    (void)snprintf(o->data + at, sizeof o->data - at, "%.*s", (int)len, data);
}

/* The next piece is sent only when the one before has arrived and was asked beyond. */
static void test_http2__a_body_comes_as_it_is_sent(void **state)
{
    struct world *w = *state;
    struct outcome o, next;

    ask(w, &o, "/stream", on_piece, NULL, 0);
    loop_until(w->loop, o.pieces == 1);
    get(w, &next, "/next/1");
    loop_until(w->loop, o.pieces == 2);
    assert_false(o.done);
    get(w, &next, "/next/2");
    loop_until(w->loop, o.done);
    assert_int_equal(o.err, PAT_OK);
    assert_string_equal(o.data, "piece 0;piece 1;piece 2;");
}

static void test_http2__a_large_body_is_sent_whole(void **state)
{
    struct world *w = *state;
    char *large = calloc(1, LARGE);
    struct outcome o;

    assert_non_null(large);
    ask(w, &o, "/length", NULL, large, LARGE);
    free(large); /* it was copied */
    loop_until(w->loop, o.done);
    assert_int_equal(o.err, PAT_OK);
    assert_int_equal(strtol(o.body, NULL, 10), LARGE);
}

static void test_http2__a_broken_stream_is_an_error_and_its_neighbours_go_on(void **state)
{
    struct world *w = *state;
    struct outcome one, broken, two;

    ask(w, &one, "/hold/2", NULL, NULL, 0);
    ask(w, &broken, "/reset", NULL, NULL, 0);
    loop_until(w->loop, broken.done);
    assert_int_equal(broken.err, PAT_ECONN);
    assert_int_equal(broken.status, 0);
    assert_false(one.done);
    ask(w, &two, "/hold/2", NULL, NULL, 0);
    loop_until(w->loop, one.done && two.done);
    assert_int_equal(connection_of(&one), connection_of(&two));
}

static void test_http2__a_broken_stream_ends_what_was_streamed_with_an_error(void **state)
{
    struct world *w = *state;
    struct outcome o;

    ask(w, &o, "/reset", on_piece, NULL, 0);
    loop_until(w->loop, o.done);
    assert_int_equal(o.err, PAT_ECONN);
    assert_int_equal(o.done, 1);
}

/* The server has done nothing with it, says the protocol (RFC 9113, section 8.7): asked again. */
static void test_http2__what_was_refused_is_asked_again(void **state)
{
    struct world *w = *state;
    struct outcome o;

    get(w, &o, "/refused");
    assert_true(connection_of(&o) > 0);
}

/* Whether it may be asked twice is the caller's to know: it hears of it at once. */
static void test_http2__what_a_leaving_server_did_not_take_is_an_error(void **state)
{
    struct world *w = *state;
    struct outcome before, o;

    get(w, &before, "/hello");
    get(w, &o, "/away");
    assert_int_equal(o.err, PAT_ECONN);
    get(w, &o, "/away");
    assert_true(connection_of(&o) > connection_of(&before));
}

static void test_http2__a_server_that_leaves_midway_is_an_error(void **state)
{
    struct world *w = *state;
    struct outcome before, o, after;

    get(w, &before, "/hello");
    ask(w, &o, "/break", NULL, NULL, 0);
    loop_until(w->loop, o.done);
    assert_int_equal(o.err, PAT_ECONN);
    assert_int_equal(o.status, 0);
    get(w, &after, "/hello");
    assert_true(connection_of(&after) > connection_of(&before));
}

static void test_http2__canceling_one_leaves_the_others(void **state)
{
    struct world *w = *state;
    struct outcome silent, one, two;

    ask(w, &silent, "/silent", NULL, NULL, 0);
    ask(w, &one, "/hold/2", NULL, NULL, 0);
    get(w, &two, "/hello");
    pat_http_cancel(w->http, silent.id);
    ask(w, &two, "/hold/2", NULL, NULL, 0);
    loop_until(w->loop, one.done && two.done);
    assert_int_equal(connection_of(&one), connection_of(&two));
    assert_int_equal(silent.done, 0);
}

static void test_http2__a_server_without_it_is_spoken_to_in_http1(void **state)
{
    struct world *w = *state;
    struct outcome o = { .w = w };
    struct pat_http_req req = { .url = getenv("PAT_TEST_H1_URL"), .timeout_ms = TIMEOUT_MS };

    assert_int_equal(pat_http_start(w->http, &req, NULL, on_done, &o, NULL), PAT_OK);
    loop_until(w->loop, o.done);
    assert_int_equal(o.err, PAT_OK);
    assert_string_equal(o.body, "http/1.1");
}

static void test_http2__a_certificate_nobody_we_trust_signed_is_refused(void **state)
{
    struct world *w = *state;
    struct world other = { .loop = w->loop };
    struct outcome o;

    assert_int_equal(pat_http_new(&other.http, w->loop, NULL), PAT_OK);
    get(&other, &o, "/hello");
    assert_int_equal(o.err, PAT_ECONN);
    pat_http_free(other.http);
}

int main(int argc, char **argv)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    static const struct CMUnitTest tests[] = {
        T(test_http2__many_requests_share_one_connection),
        T(test_http2__a_body_comes_as_it_is_sent),
        T(test_http2__a_large_body_is_sent_whole),
        T(test_http2__a_broken_stream_is_an_error_and_its_neighbours_go_on),
        T(test_http2__a_broken_stream_ends_what_was_streamed_with_an_error),
        T(test_http2__what_was_refused_is_asked_again),
        T(test_http2__what_a_leaving_server_did_not_take_is_an_error),
        T(test_http2__a_server_that_leaves_midway_is_an_error),
        T(test_http2__canceling_one_leaves_the_others),
        T(test_http2__a_server_without_it_is_spoken_to_in_http1),
        T(test_http2__a_certificate_nobody_we_trust_signed_is_refused),
    };
#undef T

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
