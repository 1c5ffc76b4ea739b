/* alloc.h - makes one allocation fail, and then the next: does what is tested come through it?
 *
 * For test programs only, which ask for it with `pat_test(name sources ALLOC)`: the linker then
 * leads malloc, calloc, realloc, strdup and strndup of our own code through here, and cJSON gets
 * the same functions. Other libraries' own allocations are not counted.
 */
#ifndef PAT_TEST_ALLOC_H
#define PAT_TEST_ALLOC_H

/* One run of what is tested, from nothing to everything freed. PAT_OK when it worked, PAT_ENOMEM
 * when it said so; it asserts whatever else should hold. */
typedef int pat_test_alloc_fn(void *arg);

/* Runs fn with allocation n failing for n = 0, 1, 2 ... until one run needs no more than n. Fails
 * the test when a run ends in another error, or when the last, undisturbed one is not PAT_OK.
 * PAT_FAIL_ALLOC=n in the environment runs that n only, for a debugger. */
void pat_test_alloc_walk(pat_test_alloc_fn *fn, void *arg);

#endif
