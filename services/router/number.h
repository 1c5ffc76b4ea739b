/* number.h - phone numbers as carriers write them.
 *
 * E.164: "+", then 2 to 15 digits, the first not 0 (ITU-T E.164 section 6). Pure.
 */
#ifndef ROUTER_NUMBER_H
#define ROUTER_NUMBER_H

#include "pat.h"

#define NUMBER_MAX 17 /* "+", 15 digits, NUL */

bool number_e164(const char *s);
/* The number in what a carrier sent: E.164 as it is, "15550100002" gets its plus,
 * "sip:+1555...@host" and "tel:+1555..." give their user part, blanks that a form's unescaped plus
 * became are read as plus. PAT_EINVAL: there is none. */
int number_read(char out[NUMBER_MAX], const char *s) PAT_MUST_CHECK;
/* "+*******0142": only the last four digits, and of short numbers none. */
void number_mask(char out[NUMBER_MAX], const char *number);

#endif
