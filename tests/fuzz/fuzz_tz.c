/* fuzz_tz.c - a zone file of any bytes, asked about times near and far. */
#include "tz.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t times[] = { 0, 1, 951782400, 1795444200, 4102444799, 253402300799 };
    struct pat_tz *z;

    if (pat_tz_parse(&z, data, size))
        return 0;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct pat_local l;
        int64_t back;

        pat_tz_local(z, times[i], &l);
        if (l.month < 1 || l.month > 12 || l.day < 1 || l.day > 31 || l.hour > 23 || l.minute > 59)
            abort();
        if (!pat_tz_unix(z, &l, &back)) {
            struct pat_local again;

            pat_tz_local(z, back, &again);
            if (again.minute != l.minute || again.hour != l.hour || again.day != l.day)
                abort();
        }
    }
    pat_tz_free(z);
    return 0;
}
