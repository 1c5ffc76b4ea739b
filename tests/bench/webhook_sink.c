/* webhook_sink.c - a receiver of webhooks that costs little: webhook_sink PORT.
 *
 * Answers every POST with 204 and checks that the three headers of Standard Webhooks are there; GET
 * /count says how many it took and how many lacked one. Signatures are verified by the tests.
 */
#include "pat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sink {
    long taken, broken;
};

static void on_post(struct pat_httpd_req *r, void *arg)
{
    struct sink *s = arg;

    if (pat_httpd_header(r, "webhook-id") && pat_httpd_header(r, "webhook-timestamp") &&
        pat_httpd_header(r, "webhook-signature"))
        s->taken++;
    else
        s->broken++;
    pat_httpd_reply(r, 204, NULL, NULL, 0);
}

static void on_count(struct pat_httpd_req *r, void *arg)
{
    const struct sink *s = arg;
    char text[80];

    snprintf(text, sizeof text, "{\"taken\":%ld,\"broken\":%ld}", s->taken, s->broken);
    pat_httpd_reply(r, 200, "application/json", text, strlen(text));
}

int main(int argc, char **argv)
{
    struct sink sink = { 0, 0 };
    char listen[32];
    struct pat_httpd_opts opts = { .listen = listen };
    struct pat_loop *loop;
    struct pat_net *net;
    struct pat_httpd *httpd;

    snprintf(listen, sizeof listen, "127.0.0.1:%s", argc > 1 ? argv[1] : "0");
    if (pat_loop_new(&loop) || pat_net_new(&net, loop, NULL) || pat_httpd_new(&httpd, net, &opts) ||
        pat_httpd_route(httpd, "POST", "/{name}", 0, on_post, &sink) ||
        pat_httpd_route(httpd, "GET", "/count", 0, on_count, &sink) || pat_httpd_listen(httpd))
        return 1;
    pat_loop_run(loop); /* until it is killed */
    return 0;
}
