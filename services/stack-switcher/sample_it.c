/* sample_it.c - what sample_read says of a file: for tests/integration/test_voice_samples.py, which
 * makes the files with real encoders. */
#include "pat.h"
#include "sample.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    static char data[64 << 20];
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    size_t len = f ? fread(data, 1, sizeof data, f) : 0;
    struct sample s;
    int err = sample_read(data, len, &s);

    if (f)
        fclose(f);
    printf(
        "{\"error\": %d, \"type\": \"%s\", \"duration_ms\": %lld, \"looked\": %s, \"speech\": %d, \"clipped\": %d}\n",
        err, s.type ? s.type : "", (long long)s.duration_ms, s.looked ? "true" : "false",
        s.speech_percent, s.clipped_percent);
    return 0;
}
