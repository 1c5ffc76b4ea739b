/* policy_int.h - the inside of struct policies: for policy_set.c and policy_hours.c only. */
#ifndef ROUTER_POLICY_INT_H
#define ROUTER_POLICY_INT_H

#include "policy.h"

#include "tz.h"

#include <uthash.h>

struct policy_number {
    uint64_t digits; /* without the plus */
    unsigned char len;
    bool prefix;
};

/* Of one local day, in minutes from its midnight; half open: [from, to). */
struct policy_range {
    unsigned char weekday; /* 0: Sunday */
    short from, to;
};

struct policy_holiday {
    short year;               /* 0: each year */
    unsigned char month, day; /* from 1 */
    short from, to;           /* open all the same; equal: closed. A day may have several */
};

struct policies {
    struct policy_wishes want;
    unsigned refs;
    const struct pat_tz *tz;        /* the set's */
    struct policy_number *block;    /* as they came */
    struct policy_number *contacts; /* sorted */
    char *countries;                /* "USCADE"; NULL: no list */
    struct policy_range *ranges;    /* NULL and has_hours: never open */
    struct policy_holiday *holidays;
    size_t n_block, n_contacts, n_ranges, n_holidays;
    bool has_hours;
    short quiet_from, quiet_to; /* minutes; equal or negative: none */
    char *text;                 /* the key; NULL: the defaults */
    UT_hash_handle hh;
};

int policy_read_hours(struct policies *p, const struct pat_json *j) PAT_MUST_CHECK;
void policy_sort(struct policies *p);

#endif
