/* price_book.h - the prices of patchbay.prices and patchbay.rates, read at start and again every
 * ten minutes.
 *
 * Without a database, or until it answers, there is no book: limits in money do not hold then, and
 * that is logged. Life: pat_price_book_new -> pat_price_book_free. Thread: the loop's.
 */
#ifndef PAT_PRICE_BOOK_H
#define PAT_PRICE_BOOK_H

#include "db.h"
#include "prices.h"

struct pat_price_book;

int pat_price_book_new(struct pat_price_book **out, struct pat_loop *loop,
                       struct pat_db *db) PAT_MUST_CHECK;
void pat_price_book_free(struct pat_price_book *b);
/* Rows as pat_prices_parse takes them, in place of those there are: what reading does. */
int pat_price_book_put(struct pat_price_book *b, const struct pat_json *rows) PAT_MUST_CHECK;
/* Borrowed until the loop turns. NULL: none was read yet; b may be NULL. */
const struct pat_prices *pat_price_book_now(const struct pat_price_book *b);

#endif
