/* call_trouble.c - providers that fail, as the record has it.
 *
 * Whoever asked them goes on by himself with the next of the chain; here it is only told.
 */
#include "call_int.h"

void call_provider_failed(const struct provider_failure *f, void *call)
{
    struct call *c = call;
    struct pat_json *data;

    if (c->ending)
        return;
    data = pat_json_obj();
    pat_json_set_str(data, "part", provider_part_name(f->by->part));
    pat_json_set_str(data, "provider", f->by->name);
    pat_json_set_str(data, "model", f->model);
    pat_json_set_str(data, "fault", provider_fault_name(f->fault));
    pat_json_set_str(data, "detail", f->detail);
    pat_json_set_str(data, "next", f->next ? f->next->name : NULL);
    report_event(c, "call", "provider_failed", data);
}
