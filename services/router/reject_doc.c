/* reject_doc.c - documents for a call that is not answered at all: see document.h. */
#include "document.h"
#include "swml_build.h"

int cxml_reject(struct pat_buf *out, bool busy)
{
    struct pat_xml x;

    pat_xml_init(&x, out);
    pat_xml_open(&x, "Response");
    pat_xml_open(&x, "Reject");
    pat_xml_attr(&x, "reason", busy ? "busy" : "rejected");
    pat_xml_close(&x);
    pat_xml_close(&x);
    return pat_xml_end(&x);
}

int swml_reject(struct pat_buf *out, bool busy)
{
    struct pat_json *steps = pat_json_arr(), *how = pat_json_obj();

    pat_json_set_str(how, "reason", busy ? "busy" : "decline");
    swml_step(steps, "hangup", how);
    return swml_finish(out, steps);
}
