/* caller.h - who calls, as far as the carrier says: a number, or one of the ways not to say it.
 *
 * Carriers write a withheld number as a word ("anonymous", "Restricted", "unavailable"), as a SIP
 * address at anonymous.invalid (RFC 3323), as nothing, or spell the word on a phone's keys
 * (Twilio docs, "Why am I getting calls from these strange numbers?": +266696687 is ANONYMOUS).
 * Pure.
 */
#ifndef ROUTER_CALLER_H
#define ROUTER_CALLER_H

#include "number.h"

enum caller_kind {
    CALLER_NUMBER,
    CALLER_ANONYMOUS,   /* will not say it */
    CALLER_RESTRICTED,  /* may not say it */
    CALLER_UNAVAILABLE, /* the network does not know it */
    CALLER_KINDS
};

/* from gets the number, "" unless it is CALLER_NUMBER. */
enum caller_kind caller_read(char from[NUMBER_MAX], const char *sent);
const char *caller_kind_name(enum caller_kind k); /* "number", "anonymous" ... */

/* The number a call was passed on from: as it is, as SIP address, or as a header Diversion (RFC
 * 5806) has it. "" when there is none. */
void caller_passed_on(char out[NUMBER_MAX], const char *sent);

#endif
