/* test/cmocka.h - cmocka with what it wants included before it. */
#ifndef PAT_TEST_CMOCKA_H
#define PAT_TEST_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define PAT_COUNT(array) (sizeof(array) / sizeof *(array))

#endif
