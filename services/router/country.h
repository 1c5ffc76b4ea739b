/* country.h - which country a phone number belongs to: a table, pure.
 *
 * ISO 3166-1 alpha-2 by calling code (ITU-T E.164, list of assigned codes); where several share
 * one, by the digits behind it: in +1 each island has its own area codes, which is where toll fraud
 * likes to go (NANPA, area codes in use).
 */
#ifndef ROUTER_COUNTRY_H
#define ROUTER_COUNTRY_H

#include "pat.h"

/* number: E.164. "US"; NULL: no country has it. */
const char *country_of(const char *number);
/* A country's name as in the table. */
bool country_known(const char *iso);

#endif
