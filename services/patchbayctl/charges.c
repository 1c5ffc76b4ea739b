/* charges.c - what customers are charged: prices a minute by tier, and whose tier. */
#include "ctl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int cmd_retail(struct ctl *c, const struct args *a)
{
    static const struct column columns[] = {
        { "TIER", "tier", COL_TEXT },      { "A MINUTE", "microusd_per_minute", COL_USD },
        { "STATE", "state", COL_TEXT },    { "FROM", "valid_from", COL_TIME },
        { "UNTIL", "valid_to", COL_TIME }, { "PRICE", "id", COL_TEXT },
        { "NOTE", "note", COL_TEXT },      { NULL, NULL, 0 }
    };
    struct answer got;
    int status = ctl_ask(c, "GET", "/v1/retail", NULL, NULL, &got);

    (void)a;
    if (!status && !print_json(c, got.json)) {
        print_table(columns, pat_json_at(got.json, "prices"));
        PAT_JSON_EACH(tier, pat_json_at(got.json, "tiers"))
        printf("%s: %lld users\n", pat_json_str_or(tier, "tier", "-"),
               (long long)pat_json_int_or(tier, "users", 0));
    }
    answer_fini(&got);
    return status;
}

/* Dollars as people write them; false: none, or finer than a millionth. */
static bool read_usd(int64_t *microusd, const char *s)
{
    char *end;
    double n = strtod(*s == '$' ? s + 1 : s, &end);
    double whole = round(n * 1e6);

    if (end == s || *end || !(n >= 0 && n < 1e9) || fabs(n * 1e6 - whole) > 1e-3)
        return false;
    *microusd = (int64_t)whole;
    return true;
}

static void print_price(const struct pat_json *j, const char *what)
{
    printf("%s %s: $%g a minute from %s\n", what, pat_json_str_or(j, "tier", "-"),
           pat_json_num_or(j, "microusd_per_minute", 0) / 1e6,
           pat_json_str_or(j, "valid_from", "-"));
}

/* POST or DELETE with the body, and ?why=. */
static int change(struct ctl *c, const struct args *a, const char *method, const char *path,
                  struct pat_json *body_take, struct answer *got)
{
    struct pat_buf url;
    int status;

    pat_buf_init(&url, 4096);
    pat_buf_adds(&url, path);
    ctl_query(&url, "why", args_get(a, "why"));
    status = ctl_ask(c, method, url.data, body_take, NULL, got);
    pat_buf_fini(&url);
    return status;
}

int cmd_retail_add(struct ctl *c, const struct args *a)
{
    struct pat_json *body;
    struct answer got;
    int64_t price;
    int status;

    if (!args_get(a, "price") || !read_usd(&price, args_get(a, "price")))
        return fprintf(stderr, "patchbayctl: --price is wanted, in dollars a minute, like 0.12\n"),
               CTL_USAGE;
    body = pat_json_obj();
    pat_json_set_str(body, "tier", a->operands[0]);
    pat_json_set_int(body, "microusd_per_minute", price);
    if (args_get(a, "from"))
        pat_json_set_str(body, "valid_from", args_get(a, "from"));
    if (args_get(a, "note"))
        pat_json_set_str(body, "note", args_get(a, "note"));
    status = change(c, a, "POST", "/v1/retail", body, &got);
    if (!status && !print_json(c, got.json))
        print_price(got.json, "set");
    answer_fini(&got);
    return status;
}

int cmd_retail_drop(struct ctl *c, const struct args *a)
{
    struct answer got;
    char path[120];
    int status;

    snprintf(path, sizeof path, "/v1/retail/%.64s", a->operands[0]);
    status = change(c, a, "DELETE", path, NULL, &got);
    if (!status && !print_json(c, got.json))
        print_price(got.json, "taken away");
    answer_fini(&got);
    return status;
}

int cmd_tier(struct ctl *c, const struct args *a)
{
    char user[PAT_ID_LEN + 1], path[120];
    const char *to = args_get(a, "set");
    struct pat_json *body = NULL;
    struct answer got;
    int status = find_user(c, a->operands[0], user);

    if (status)
        return status;
    if (to) {
        body = pat_json_obj();
        pat_json_set_str(body, "tier", to);
    }
    snprintf(path, sizeof path, "/v1/users/%s/tier", user);
    status = change(c, a, to ? "PUT" : "GET", path, body, &got);
    if (!status && !print_json(c, got.json)) {
        print_field("tier", "%s", pat_json_str_or(got.json, "tier", "-"));
        if (pat_json_int_or(got.json, "microusd_per_minute", -1) >= 0)
            print_field("charged", "$%g a minute",
                        pat_json_num_or(got.json, "microusd_per_minute", 0) / 1e6);
        else
            print_field("charged", "no price is set");
    }
    answer_fini(&got);
    return status;
}
