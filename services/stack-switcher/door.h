/* door.h - what every request is asked first: who are you, and about what. */
#ifndef SWITCHER_DOOR_H
#define SWITCHER_DOOR_H

#include "switcher.h"
#include "who.h"

/* By its token. On failure it has replied. */
int door_who(struct who *who, struct switcher *s, struct pat_httpd_req *http) PAT_MUST_CHECK;
/* The {id} in its path, a UUID. NULL: it is none, and it has replied. */
const char *door_id(struct pat_httpd_req *http);

#endif
