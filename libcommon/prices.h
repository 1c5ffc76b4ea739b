/* prices.h - what a metered quantity costs, by a book of prices that each hold from a day on.
 *
 * A book is the rows of patchbay.prices and patchbay.rates, as patchbay.price_book() gives them;
 * of two that would do the house's own counts, then the later one. Money is whole millionths of a
 * dollar, quantities are thousandths of their unit; there is no floating point, and the same
 * figures come out of patchbay.cost_microusd, which makes the call's record. What has no price
 * costs PAT_ENOENT, not nothing. Life: pat_prices_parse -> pat_prices_free. Thread: any; pure.
 */
#ifndef PAT_PRICES_H
#define PAT_PRICES_H

#include "json.h"

struct pat_prices;

/* So much for per units. Less than minimum units counts as minimum, and what is left of a step as a
 * whole one; 0: neither. */
struct pat_price {
    int64_t microusd, per, minimum, step;
};

struct pat_metered {
    const char *provider, *component;
    const char *model; /* NULL or "": there is none */
    int64_t milli;     /* thousandths of the unit */
    int64_t at_ms;     /* Unix time: the price of that moment counts */
};

#define PAT_PRICES_MAX 5000

/* [{"provider", "component", "model", "valid_from_ms", "price_microusd", "per", "minimum",
 * "step", "valid_to_ms"?, "house"?}]; PAT_EINVAL: err names the field. */
int pat_prices_parse(struct pat_prices **out, const struct pat_json *rows,
                     struct pat_json_err *err) PAT_MUST_CHECK;
void pat_prices_free(struct pat_prices *p);

/* A price for the model goes before one for all models (""). PAT_ENOENT: there is none. PAT_E2BIG:
 * more than a number holds. */
int pat_prices_cost(const struct pat_prices *p, const struct pat_metered *m,
                    int64_t *microusd) PAT_MUST_CHECK;
/* Rounded to the nearest millionth, halves up. PAT_EINVAL: negative, or per is 0. */
int pat_price_cost(const struct pat_price *price, int64_t milli, int64_t *microusd) PAT_MUST_CHECK;

#endif
