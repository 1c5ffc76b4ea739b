/* change.c - a change somebody asks for: see change.h. */
#include "change.h"

void change_set_why(struct pat_json *about, const char *said)
{
    size_t len = 0;

    for (int n = 0; said && said[len]; len++)
        if (((unsigned char)said[len] & 0xc0) != 0x80 && n++ == CHANGE_WHY_MAX)
            break; /* here begins the first character that is too many */
    if (len)
        pat_json_set_strn(about, "why", said, len);
    else
        pat_json_set_null(about, "why");
}

struct pat_json *change_about(const struct who *who, struct pat_httpd_req *http, const char *said)
{
    struct pat_json *p = pat_json_obj();

    pat_json_set_str(p, "actor", *who->user ? who->user : "service");
    pat_json_set_str(p, "actor_id", *who->user ? who->user : NULL);
    pat_json_set_str(p, "peer", pat_httpd_peer(http));
    change_set_why(p, said);
    return p;
}
