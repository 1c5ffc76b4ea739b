/* price_book.c - see price_book.h.
 *
 * A book that cannot be read, or makes no sense, leaves the one before it in force.
 */
#include "price_book.h"

#include "log.h"

#include <stdlib.h>
#include <string.h>

enum { EVERY_MS = 600000, AGAIN_MS = 10000, READ_MS = 5000 };

struct pat_price_book {
    struct pat_loop *loop;
    struct pat_db *db;
    struct pat_timer timer;
    pat_db_id query;
    struct pat_prices *prices;
};

int pat_price_book_put(struct pat_price_book *b, const struct pat_json *rows)
{
    struct pat_prices *prices = NULL;
    int err = pat_prices_parse(&prices, rows, NULL);

    if (err)
        return err;
    pat_prices_free(b->prices);
    b->prices = prices;
    return PAT_OK;
}

static int take(struct pat_price_book *b, const char *text)
{
    PAT_AUTO_JSON rows = NULL;
    int err = text ? pat_json_parse(&rows, text, strlen(text), NULL) : PAT_EPROTO;

    return err ? err : pat_price_book_put(b, rows);
}

static void on_book(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct pat_price_book *b = arg;

    b->query = 0;
    if (!err)
        err = take(b, n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL);
    if (err)
        pat_log(PAT_WARN, "prices.not_read", PAT_ERR(err), PAT_B("older", b->prices != NULL));
    pat_timer_start(&b->timer, err ? AGAIN_MS : EVERY_MS);
}

static void read_book(void *arg)
{
    struct pat_price_book *b = arg;

    if (pat_db_run1(b->db, "price_book", "select patchbay.price_book()", NULL, 0, READ_MS, on_book,
                    b, &b->query))
        pat_timer_start(&b->timer, AGAIN_MS);
}

int pat_price_book_new(struct pat_price_book **out, struct pat_loop *loop, struct pat_db *db)
{
    struct pat_price_book *b = calloc(1, sizeof *b);
    int err = b ? pat_timer_init(&b->timer, loop, read_book, b) : PAT_ENOMEM;

    if (err) {
        free(b);
        return err;
    }
    b->loop = loop;
    b->db = db;
    if (db)
        pat_timer_start(&b->timer, 0);
    *out = b;
    return PAT_OK;
}

void pat_price_book_free(struct pat_price_book *b)
{
    if (!b)
        return;
    if (b->query)
        pat_db_cancel(b->db, b->query);
    pat_timer_fini(&b->timer);
    pat_prices_free(b->prices);
    free(b);
}

const struct pat_prices *pat_price_book_now(const struct pat_price_book *b)
{
    return b ? b->prices : NULL;
}
