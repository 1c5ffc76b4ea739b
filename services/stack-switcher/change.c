/* change.c - a change somebody asks for by HTTP: see change.h. */
#include "change.h"

#include <string.h>

enum { WHY_MAX = 500 };

struct pat_json *change_about(const struct who *who, struct pat_httpd_req *http,
                              const struct pat_json *body)
{
    struct pat_json *p = pat_json_obj();
    char why[WHY_MAX + 1] = "";
    const char *said = pat_json_str_or(body, "why", "");

    memcpy(why, said, strnlen(said, WHY_MAX));
    pat_json_set_str(p, "actor", *who->user ? who->user : "service");
    pat_json_set_str(p, "actor_id", *who->user ? who->user : NULL);
    pat_json_set_str(p, "peer", pat_httpd_peer(http));
    pat_json_set_str(p, "why", *why ? why : NULL);
    return p;
}
