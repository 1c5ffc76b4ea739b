/* prices.c - see prices.h.
 *
 * How: a plain list, searched from end to end: a book has some dozens of rows, a call some ten
 * quantities.
 */
#include "prices.h"

#include <stdlib.h>
#include <string.h>

enum { MILLI = 1000 };

struct row {
    char provider[32], component[32], model[80];
    int64_t valid_from_ms, valid_to_ms;
    bool house;
    struct pat_price price;
};

struct pat_prices {
    size_t n;
    struct row rows[];
};

static int copy(const struct pat_json *j, const char *key, char *out, size_t size,
                struct pat_json_err *err)
{
    const char *s;
    int rc = pat_json_get_str(j, key, &s, err);

    if (!rc && !pat_strcpy(out, size, s))
        rc = PAT_EINVAL;
    return rc;
}

static int read_row(struct row *r, const struct pat_json *j, struct pat_json_err *err)
{
    int rc = copy(j, "provider", r->provider, sizeof r->provider, err);

    if (!rc)
        rc = copy(j, "component", r->component, sizeof r->component, err);
    if (!rc)
        rc = copy(j, "model", r->model, sizeof r->model, err);
    if (!rc)
        rc = pat_json_get_int(j, "valid_from_ms", &r->valid_from_ms, err);
    if (!rc)
        rc = pat_json_get_int(j, "price_microusd", &r->price.microusd, err);
    if (!rc)
        rc = pat_json_get_int(j, "per", &r->price.per, err);
    r->valid_to_ms = pat_json_int_or(j, "valid_to_ms", INT64_MAX);
    r->house = pat_json_bool_or(j, "house", false);
    r->price.minimum = pat_json_int_or(j, "minimum", 0);
    r->price.step = pat_json_int_or(j, "step", 0);
    if (!rc &&
        (r->price.microusd < 0 || r->price.per <= 0 || r->price.minimum < 0 || r->price.step < 0))
        rc = PAT_EINVAL;
    return rc;
}

int pat_prices_parse(struct pat_prices **out, const struct pat_json *rows, struct pat_json_err *err)
{
    struct pat_prices *p;
    size_t n = rows && pat_json_kind(rows) == PAT_JSON_ARR ? pat_json_size(rows) : 0;
    int rc = PAT_OK;

    if (!rows || pat_json_kind(rows) != PAT_JSON_ARR || n > PAT_PRICES_MAX)
        return PAT_EINVAL;
    p = calloc(1, sizeof *p + n * sizeof p->rows[0]);
    if (!p)
        return PAT_ENOMEM;
    PAT_JSON_EACH(j, rows)
    {
        rc = read_row(&p->rows[p->n++], j, err);
        if (rc)
            break;
    }
    if (rc) {
        free(p);
        return rc;
    }
    *out = p;
    return PAT_OK;
}

void pat_prices_free(struct pat_prices *p)
{
    free(p);
}

static int round_up(int64_t *milli, int64_t step)
{
    int64_t whole, up;

    if (!step)
        return PAT_OK;
    if (__builtin_mul_overflow(step, (int64_t)MILLI, &whole) ||
        __builtin_add_overflow(*milli, whole - 1, &up))
        return PAT_E2BIG;
    *milli = up / whole * whole;
    return PAT_OK;
}

int pat_price_cost(const struct pat_price *price, int64_t milli, int64_t *microusd)
{
    int64_t least, cost, per;

    if (milli < 0 || price->microusd < 0 || price->per <= 0)
        return PAT_EINVAL;
    if (!milli) { /* what was not used has no minimum */
        *microusd = 0;
        return PAT_OK;
    }
    if (__builtin_mul_overflow(price->minimum, (int64_t)MILLI, &least) ||
        __builtin_mul_overflow(price->per, (int64_t)MILLI, &per))
        return PAT_E2BIG;
    milli = milli < least ? least : milli;
    if (round_up(&milli, price->step) || __builtin_mul_overflow(milli, price->microusd, &cost) ||
        __builtin_add_overflow(cost, per / 2, &cost)) /* per is even: MILLI is */
        return PAT_E2BIG;
    *microusd = cost / per;
    return PAT_OK;
}

static bool goes_before(const struct row *r, const struct row *best)
{
    if (!best || r->house != best->house)
        return !best || r->house;
    return r->valid_from_ms > best->valid_from_ms;
}

static const struct row *find(const struct pat_prices *p, const struct pat_metered *m,
                              const char *model)
{
    const struct row *best = NULL;

    for (size_t i = 0; i < p->n; i++) {
        const struct row *r = &p->rows[i];

        if (r->valid_from_ms <= m->at_ms && m->at_ms < r->valid_to_ms &&
            !strcmp(r->provider, m->provider) && !strcmp(r->component, m->component) &&
            !strcmp(r->model, model) && goes_before(r, best))
            best = r;
    }
    return best;
}

int pat_prices_cost(const struct pat_prices *p, const struct pat_metered *m, int64_t *microusd)
{
    const struct row *r = p && m->model && *m->model ? find(p, m, m->model) : NULL;

    if (p && !r)
        r = find(p, m, "");
    return r ? pat_price_cost(&r->price, m->milli, microusd) : PAT_ENOENT;
}
