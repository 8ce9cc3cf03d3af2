/* Blocks of spans: their sizes, that none lie in one another, and that they serve again. */
#include "storage/base/spans.h"
#include "tests/unit/unit.h"
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((size_t)1 << 20)

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(span_block_bytes(MIB), MIB);
    assert_int_equal(span_block_bytes(MIB / 2), MIB / 2);
    assert_int_equal(span_block_bytes(MIB / 2 - 100), MIB / 2);
    assert_int_equal(span_block_bytes(MIB / 2 + 64), 0); /* a quarter of the block would be left */
    assert_int_equal(span_block_bytes(MIB + 1), 0);
    assert_int_equal(span_block_bytes(MIB / 8), MIB / 8);
    assert_int_equal(span_block_bytes(MIB / 16), 0);
    for (size_t bytes = 1; bytes < 2 * MIB; bytes += 977) {
        size_t block = span_block_bytes(bytes);
        assert_true(!block || (block >= bytes && block % 64 == 0 && block - bytes <= block / 16));
    }
}

struct held {
    unsigned char *block;
    size_t bytes;
    struct span *span;
};

static void *churn(void *seed)
{
    static const size_t sizes[] = {MIB, MIB / 2, MIB / 3 - 64, MIB / 4, MIB / 8, MIB / 2 - 64};
    enum { HELD = 40 };
    struct held held[HELD] = {{0}};
    unsigned random = (unsigned)(uintptr_t)seed;
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525 + 1013904223;
        struct held *h = &held[(random >> 16) % HELD];
        unsigned char mark = (unsigned char)(h - held + 17 * (uintptr_t)seed);
        if (h->block) {
            assert_true(h->block[0] == mark && h->block[h->bytes - 1] == mark);
            span_give(h->span, h->block);
            h->block = NULL;
            continue;
        }
        h->bytes = sizes[(random >> 8) % (sizeof sizes / sizeof *sizes)];
        h->bytes = span_block_bytes(h->bytes);
        h->block = span_take(h->bytes, &h->span);
        assert_non_null(h->block);
        assert_int_equal((uintptr_t)h->block % 64, 0);
        h->block[0] = h->block[h->bytes - 1] = mark;
    }
    for (int i = 0; i < HELD; i++)
        if (held[i].block) span_give(held[i].span, held[i].block);
    return NULL;
}

static void test_blocks_are_apart(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (uintptr_t t = 0; t < 4; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, churn, (void *)(t + 1)), 0);
    for (int t = 0; t < 4; t++)
        pthread_join(threads[t], NULL);
}

static void test_memory_serves_again(void **state)
{
    (void)state;
    struct span *span, *other;
    char *block = span_take(MIB, &span);
    strcpy(block, "still here");
    span_give(span, block);
    char *again = span_take(MIB, &other);
    assert_ptr_equal(other, span);
    assert_string_equal(again, "still here");
    span_give(other, again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_blocks_are_apart),
        cmocka_unit_test(test_memory_serves_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
