/* loud_int.h - the inside of loud.h, shared by loud.c and loud_ogg.c. */
#ifndef SWITCHER_LOUD_INT_H
#define SWITCHER_LOUD_INT_H

#include "loud.h"

enum { LOUD_SIDES = 2 };

struct loud_units {
    uint8_t *peak; /* of each unit, of each side; owned by loud.c */
    size_t room;   /* units */
    int64_t samples;
    int channels, rate;
};

/* n samples of each channel, one after the other in turn. PAT_E2BIG, PAT_ENOMEM. */
int loud_add(struct loud_units *u, const int16_t *pcm, size_t n, int channels,
             int rate) PAT_MUST_CHECK;

/* loud_ogg.c: pages, packets, samples. */
struct loud_ogg;
int loud_ogg_new(struct loud_ogg **out, struct loud_units *units) PAT_MUST_CHECK;
void loud_ogg_free(struct loud_ogg *o); /* NULL is fine */
int loud_ogg_feed(struct loud_ogg *o, const char *data, size_t len) PAT_MUST_CHECK;

#endif
