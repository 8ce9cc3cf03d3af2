/* What every unit test includes: cmocka, without its `fail` macro, which is Tessera's function. */
#ifndef TESSERA_UNIT_H
#define TESSERA_UNIT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail
#endif
