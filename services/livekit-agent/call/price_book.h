/* price_book.h - the prices of patchbay.prices, read at start and again every ten minutes.
 *
 * Without a database, or until it answers, there is no book: limits in money do not hold then, and
 * that is logged. Life: price_book_new -> price_book_free. Thread: the loop's.
 */
#ifndef CALL_PRICE_BOOK_H
#define CALL_PRICE_BOOK_H

#include "pat.h"

struct price_book;

int price_book_new(struct price_book **out, struct pat_loop *loop,
                   struct pat_db *db) PAT_MUST_CHECK;
void price_book_free(struct price_book *b);
/* Rows as pat_prices_parse takes them, in place of those there are: what reading does. */
int price_book_put(struct price_book *b, const struct pat_json *rows) PAT_MUST_CHECK;
/* Borrowed until the loop turns. NULL: none was read yet; b may be NULL. */
const struct pat_prices *price_book_now(const struct price_book *b);

#endif
