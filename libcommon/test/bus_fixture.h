/* bus_fixture.h - what the integration tests of the bus share: a bus, and ears for what comes.
 *
 * Include after test/cmocka.h. PAT_TEST_NATS_URL says where the server is,
 * PAT_TEST_NATS_CA who signed its certificate, if it has one.
 */
#ifndef PAT_TEST_BUS_FIXTURE_H
#define PAT_TEST_BUS_FIXTURE_H

#include "bus.h"
#include "test/ctl.h"
#include "test/loop_until.h"

struct fixture {
    struct pat_loop *loop;
    struct pat_bus *bus;
    int ups, downs;
    bool closed;
};

/* Messages are their number as text. */
struct heard {
    int n;
    int last;
    int out_of_order;
    char text[64];
    char reply[200];
    int deliveries;
};

struct answer {
    int n;
    int err;
    char text[256];
    uint64_t revision;
};

struct worker {
    struct fixture *f;
    struct heard h;
    int nak_first;
    bool ack;
    int most; /* with the handler at once */
    int held;
    char replies[100][120];
};

void bus_open(struct fixture *f, size_t max_queue);
int bus_setup(void **state);
void bus_on_true(void *arg);
int bus_teardown(void **state);
void bus_on_message(const struct pat_msg *m, void *arg);
int bus_publish_number(struct fixture *f, const char *subject, int number);
void bus_on_reply(int err, const struct pat_msg *m, void *arg);
void bus_on_kv(int err, uint64_t revision, const char *data, size_t len, void *arg);
void bus_ensure_stream(struct fixture *f, const char *name, const char *config);
void bus_on_job(const struct pat_msg *m, void *arg);
struct pat_consumer *bus_consume(struct worker *w, const char *stream, const char *durable,
                                 int batch, int64_t ack_wait_ms);
void bus_fill(struct fixture *f, const char *subject, int n);
void bus_bucket(struct fixture *f, const char *name, int64_t ttl_ms);
struct answer bus_put(struct fixture *f, const char *b, const char *key, const char *value,
                      uint64_t expected);
struct answer bus_get(struct fixture *f, const char *b, const char *key);

#define BUS_TEST(name) cmocka_unit_test_setup_teardown(name, bus_setup, bus_teardown)

#endif
