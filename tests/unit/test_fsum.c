/* Sums: the same bits in any order and partition; the correctly rounded exact sum where the window
 * holds every bit. */
#include "storage/base/fsum.h"
#include "storage/base/fsum_planes.h"
#include "storage/base/isa.h"
#include <math.h>

#include "tests/unit/unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 88172645463325252u;
static uint64_t random_u64(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}
static double random_unit(void)
{
    return (double)(random_u64() >> 11) * 0x1p-53;
}

static void same_bits(double a, double b)
{
    uint64_t x, y;
    memcpy(&x, &a, 8);
    memcpy(&y, &b, 8);
    if (x != y) print_error("%a against %a\n", a, b);
    assert_true(x == y);
}

/* Every double is a multiple of 2^-1074: the exact sum in 32-bit limbs. */
enum { LIMBS = 70 };
struct exact {
    int64_t limb[LIMBS];
};
static void exact_add(struct exact *e, double x)
{
    int exponent;
    double m = frexp(fabs(x), &exponent);
    uint64_t mant = (uint64_t)ldexp(m, 53);
    int shift = exponent - 53 + 1074;
    if (shift < 0) {
        mant >>= -shift;
        shift = 0;
    }
    __extension__ unsigned __int128 wide = (unsigned __int128)mant << (shift % 32);
    for (int i = shift / 32; wide; i++, wide >>= 32)
        e->limb[i] += x < 0 ? -(int64_t)(uint32_t)wide : (int64_t)(uint32_t)wide;
}
/* To decimal-free hexadecimal text, which strtod rounds correctly. */
static double exact_value(const struct exact *e)
{
    struct exact n = *e;
    bool negative = false;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i + 1 < LIMBS; i++) {
            int64_t low = n.limb[i] & 0xffffffff;
            n.limb[i + 1] += (n.limb[i] - low) / (INT64_C(1) << 32);
            n.limb[i] = low;
        }
        if (n.limb[LIMBS - 1] >= 0) break;
        negative = true;
        for (int i = 0; i < LIMBS; i++)
            n.limb[i] = -n.limb[i];
    }
    char text[LIMBS * 8 + 32], *at = text;
    at += sprintf(at, "%s0x", negative ? "-" : "");
    for (int i = LIMBS - 1; i >= 0; i--)
        at += sprintf(at, "%08llx", (unsigned long long)n.limb[i]);
    sprintf(at, "p-1074");
    return strtod(text, NULL);
}

static double sum_of(const double *x, int64_t n)
{
    struct fsum s;
    fsum_init(&s);
    fsum_add_block(&s, x, n);
    return fsum_value(&s);
}

enum { N = 5000, KINDS = 13 };

static void fill(double *x, int kind)
{
    for (int i = 0; i < N; i++) {
        double u = random_unit() - 0.3;
        switch (kind) {
        case 0:
            x[i] = u;
            break;
        case 1:
            x[i] = 20 + u * 0.01;
            break;
        case 2:
            x[i] = ldexp(u, (int)(random_u64() % 40));
            break;
        case 3:
            x[i] = ldexp(u, (int)(random_u64() % 2000) - 1000);
            break;
        case 4:
            x[i] = ldexp(u, -1060 - (int)(random_u64() % 14));
            break;
        case 5:
            x[i] = ldexp(u, 1010);
            break;
        case 6:
            x[i] = (i & 1) ? -x[i - 1] : u * 1e10;
            break;
        case 7:
            x[i] = i == N / 2 ? 1e300 : u;
            break;
        case 8: /* at the borders of bins, from both sides */
            x[i] = ldexp(1, 30 * (int)(random_u64() % 7) - 90) + (i & 1 ? 0 : ldexp(u, -70));
            if (i % 3 == 0) x[i] = -nextafter(x[i], i & 4 ? 0 : 1e300);
            break;
        case 9: /* digits all ones, or all zeros but the ends */
            x[i] = ldexp((double)(i & 1 ? (INT64_C(1) << 53) - 1 : (INT64_C(1) << 52) + 1),
                         (int)(random_u64() % 40) - 60);
            if (i % 5 == 0) x[i] = -x[i];
            break;
        case 10: /* zeros of both signs, few others */
            x[i] = i % 17 == 0 ? u * 1e-5 : i & 1 ? 0.0 : -0.0;
            break;
        case 11: /* few digits: two bins hold them */
            x[i] = (double)(float)(20 + u);
            break;
        default: /* the largest and the smallest there are */
            x[i] = i % 9 == 0 ? ldexp(1 + u, 1022) : i & 1 ? 0x1p-1074 : -0x1.8p-1022;
            break;
        }
    }
}

static void test_order(void **unused)
{
    (void)unused;
    double *x = malloc(N * sizeof *x);
    for (int kind = 0; kind < KINDS; kind++) {
        fill(x, kind);
        double expected = sum_of(x, N);
        struct fsum one_by_one;
        fsum_init(&one_by_one);
        for (int i = 0; i < N; i++)
            fsum_add(&one_by_one, x[i]);
        same_bits(expected, fsum_value(&one_by_one));
        for (int round = 0; round < 20; round++) {
            for (int i = N - 1; i > 0; i--) {
                int j = (int)(random_u64() % (uint64_t)(i + 1));
                double t = x[i];
                x[i] = x[j];
                x[j] = t;
            }
            struct fsum parts[3];
            for (int p = 0; p < 3; p++)
                fsum_init(&parts[p]);
            for (int64_t at = 0; at < N;) {
                int64_t n = 1 + (int64_t)(random_u64() % 1500);
                if (n > N - at) n = N - at;
                fsum_add_block(&parts[random_u64() % 3], x + at, n);
                at += n;
            }
            int first = (int)(random_u64() % 3);
            fsum_merge(&parts[first], &parts[(first + 1) % 3]);
            fsum_merge(&parts[first], &parts[(first + 2) % 3]);
            same_bits(expected, fsum_value(&parts[first]));
        }
    }
    free(x);
}

static void same_sum(const struct fsum *a, const struct fsum *b)
{
    assert_memory_equal(a->bin, b->bin, sizeof a->bin);
    assert_true(a->top == b->top);
    assert_true(a->has_nan == b->has_nan && a->has_pinf == b->has_pinf);
    assert_true(a->has_ninf == b->has_ninf);
}

/* Rows into one sum, and columns into theirs, against numbers one by one: the bins, not just what
 * they come to. */
static void test_rows_and_columns(void **unused)
{
    (void)unused;
    enum { MOST = 700, STATES = 9 };
    struct {
        struct fsum sum;
        int64_t other;
    } many[STATES];
    struct fsum single[STATES], all, all_single;
    int32_t g[MOST];
    double *x = malloc(N * sizeof *x);
    for (int round = 0; round < 600; round++) {
        int64_t n = 1 + (int64_t)(random_u64() % (round % 3 ? 40 : MOST)), stride, n_rows;
        stride = n + (int64_t)(random_u64() % 5);
        n_rows = 1 + (int64_t)(random_u64() % (uint64_t)((N - n) / stride));
        fill(x, round % KINDS);
        if (round % 5 == 0) x[random_u64() % N] = round % 2 ? -INFINITY : NAN;
        if (round % 7 == 0) memset(x, 0, N / 2 * sizeof *x);
        fsum_init(&all);
        fsum_init(&all_single);
        for (int i = 0; i < STATES; i++) {
            fsum_init(&many[i].sum);
            fsum_init(&single[i]);
        }
        for (int64_t i = 0; i < n; i++)
            g[i] = (int32_t)(random_u64() % (STATES + 1)) - 1;
        fsum_add_rows(&all, x, n_rows, stride, n);
        fsum_add_columns(many, sizeof many[0], g, x, n_rows, stride, n);
        for (int64_t r = 0; r < n_rows; r++)
            for (int64_t i = 0; i < n; i++) {
                fsum_add(&all_single, x[r * stride + i]);
                if (g[i] >= 0) fsum_add(&single[g[i]], x[r * stride + i]);
            }
        same_sum(&all, &all_single);
        for (int i = 0; i < STATES; i++)
            same_sum(&many[i].sum, &single[i]);
    }
    free(x);
}

/* Each number to the sum it is told, a piece after another, so that windows move up in between. */
/* Numbers of some sizes: which are too many for planes depends on `kind`. */
static double of_kind(int kind, int64_t i)
{
    double x = random_unit() - 0.5;
    switch (kind) {
    case 0: /* two decimals */
        return rint(x * 10000) / 100 + 250;
    case 1: /* around 0, with zeros and infinitely small ones */
        return random_u64() % 16 ? x * x * x : random_u64() % 2 ? 0.0 : -0.0;
    case 2: /* NaNs here and there */
        return random_u64() % 50 ? x * 1e9 : (double)NAN;
    case 3: /* growing */
        return ldexp(x, (int)(i / 2000));
    case 4: /* large */
        return x * 0x1p70;
    case 5: /* whole windows */
        return ldexp(x, (int)(random_u64() % 30));
    case 6:
        return ldexp(x, -1060 - (int)(random_u64() % 10));
    case 7: /* nothing but zeros at first */
        return i < 5000 ? 0.0 : (double)(float)x;
    default: /* too many sizes */
        return random_u64() % 1000 ? x : i > 7000 ? x * 0x1p100 : x * 0x1p-100;
    }
}

static void check_planes(int kind, bool by_rows, bool f32, int64_t n_rows, int64_t n,
                         int64_t n_sums)
{
    int64_t stride = n + (int64_t)(random_u64() % 3), sums = by_rows ? n_rows : n;
    struct fsum_planes p[2];
    void *memory[2];
    struct fsum *want = calloc((size_t)n_sums, sizeof *want);
    double *x = calloc((size_t)(n_rows * stride), sizeof *x);
    float *narrow = calloc((size_t)(n_rows * stride), sizeof *narrow);
    int32_t *g = calloc((size_t)sums, sizeof *g);
    bool ok = true, too_many = kind == 8;
    for (int64_t i = 0; i < n_sums; i++)
        fsum_init(&want[i]);
    for (int k = 0; k < 2; k++) {
        memory[k] = malloc(fsum_planes_bytes(n_sums));
        fsum_planes_init(&p[k], memory[k], n_sums);
        for (int64_t i = 0; i < n_rows * stride; i++) {
            x[i] = of_kind(kind, i);
            narrow[i] = (float)x[i];
            if (f32) x[i] = (double)narrow[i];
        }
        for (int64_t i = 0; i < sums; i++)
            g[i] = random_u64() % 40 && i ? (int32_t)((g[i - 1] + 1) % n_sums)
                                          : (int32_t)(random_u64() % (uint64_t)n_sums);
        for (int64_t i = 0; i < sums; i++)
            if (random_u64() % 100 == 0) g[i] = -1;
        struct fsum_block b = {f32 ? (void *)narrow : (void *)x, f32, n_rows, stride, n};
        ok = ok && (by_rows ? fsum_planes_rows : fsum_planes_columns)(&p[k], &b, g);
        for (int64_t r = 0; r < n_rows; r++)
            for (int64_t i = 0; i < n; i++) {
                int32_t to = g[by_rows ? r : i];
                if (to >= 0) fsum_add(&want[to], x[r * stride + i]);
            }
    }
    ok = ok && fsum_planes_fit(&p[0], &p[1]);
    if (ok) fsum_planes_merge(&p[0], &p[1], 0, n_sums);
    if (!too_many) assert_true(ok);
    for (int64_t i = 0; ok && i < n_sums; i++) {
        struct fsum got;
        fsum_planes_get(&p[0], i, &got);
        same_bits(fsum_value(&got), fsum_value(&want[i]));
    }
    for (int k = 0; k < 2; k++)
        free(memory[k]);
    free(want);
    free(x);
    free(narrow);
    free(g);
}

static void test_planes(void **unused)
{
    (void)unused;
    static const int64_t shapes[][2] = {{1, 1},    {13, 5},   {3, 5},   {33, 33},   {30, 1089},
                                        {2500, 9}, {7, 3000}, {100, 8}, {17, 2100}, {40, 250}};
    for (int kind = 0; kind < 9; kind++)
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
            for (int how = 0; how < 4; how++)
                check_planes(kind, how & 1, how & 2, shapes[k][0], shapes[k][1],
                             1 + (int64_t)(random_u64() % 300));
}

/* What does not fit in one window is refused, whatever came first. */
static void test_planes_refuse(void **unused)
{
    (void)unused;
    const double of[][2] = {{1, 0x1p100}, {0x1p100, 1}, {1, (double)INFINITY}, {0x1p-300, 1}};
    int32_t g[16] = {0};
    for (size_t k = 0; k < sizeof of / sizeof *of; k++) {
        struct fsum_planes p;
        char memory[256];
        double x[16] = {0};
        fsum_planes_init(&p, memory, 2);
        struct fsum_block b = {x, false, 2, 8, 8};
        x[3] = of[k][0];
        assert_true(fsum_planes_columns(&p, &b, g));
        x[3] = of[k][1];
        assert_false(fsum_planes_columns(&p, &b, g));
    }
}

static void test_spread(void **unused)
{
    (void)unused;
    enum { STATES = 37 };
    struct {
        struct fsum sum;
        int64_t other;
    } many[STATES];
    struct fsum single[STATES];
    int32_t *g = malloc(N * sizeof *g);
    double *x = malloc(N * sizeof *x);
    void *room = malloc(fsum_spread_bytes(STATES));
    for (int round = 0; round < 200; round++) {
        int n_states = 1 + (int)(random_u64() % STATES);
        fill(x, round % 8);
        if (round % 5 == 0) x[random_u64() % N] = round % 2 ? -INFINITY : NAN;
        if (round % 7 == 0) memset(x, 0, N / 2 * sizeof *x);
        for (int i = 0; i < n_states; i++) {
            fsum_init(&many[i].sum);
            fsum_init(&single[i]);
            many[i].other = i;
        }
        for (int64_t i = 0; i < N; i++)
            g[i] = (int32_t)(random_u64() % (unsigned)(n_states + round % 2)) - round % 2;
        for (int64_t at = 0, n; at < N; at += n) {
            n = 1 + (int64_t)(random_u64() % (N / 2));
            if (n > N - at) n = N - at;
            fsum_spread(many, sizeof many[0], n_states, g + at, x + at, n, room);
        }
        for (int64_t i = 0; i < N; i++)
            if (g[i] >= 0) fsum_add(&single[g[i]], x[i]);
        for (int i = 0; i < n_states; i++) {
            same_sum(&many[i].sum, &single[i]);
            assert_true(many[i].other == i);
        }
    }
    free(room);
    free(x);
    free(g);
}

static void test_exact(void **unused)
{
    (void)unused;
    static const int in_window[] = {0, 1, 2, 4, 5, 6};
    double *x = malloc(N * sizeof *x);
    for (int k = 0; k < 6; k++) {
        for (int round = 0; round < 5; round++) {
            struct exact e = {{0}};
            fill(x, in_window[k]);
            for (int i = 0; i < N; i++)
                exact_add(&e, x[i]);
            double expected = exact_value(&e);
            if (in_window[k] == 6) assert_true(expected == 0);
            if (expected == 0)
                assert_true(sum_of(x, N) == 0);
            else
                same_bits(expected, sum_of(x, N));
        }
    }
    /* Widely spread numbers: off by less than an ulp of the largest. */
    fill(x, 7);
    struct exact e = {{0}};
    for (int i = 0; i < N; i++)
        exact_add(&e, x[i]);
    same_bits(exact_value(&e), sum_of(x, N));
    free(x);
}

static void test_rounding(void **unused)
{
    (void)unused;
    /* A half is rounded to even, a half and a bit up, on both sides of 0. */
    double even[] = {0x1p53, 1}, odd[] = {0x1p53, 2, 1}, up[] = {0x1p53, 1, 0x1p-30};
    same_bits(sum_of(even, 2), 0x1p53);
    same_bits(sum_of(odd, 3), 0x1p53 + 4);
    same_bits(sum_of(up, 3), 0x1p53 + 2);
    double negative[] = {-0x1p53, -2, -1};
    same_bits(sum_of(negative, 3), -0x1p53 - 4);
    double tiny[] = {0x1p-1074, 0x1p-1074, -0x1p-1073};
    same_bits(sum_of(tiny, 2), 0x1p-1073);
    assert_true(sum_of(tiny, 3) == 0);
    double huge[] = {0x1.fffffffffffffp1023, 0x1.fffffffffffffp1023, -0x1.fffffffffffffp1023};
    assert_true(isinf(sum_of(huge, 2)));
    same_bits(sum_of(huge, 3), huge[0]);
    assert_true(sum_of(NULL, 0) == 0);
}

static void test_special(void **unused)
{
    (void)unused;
    double x[1000] = {0};
    x[700] = INFINITY;
    assert_true(sum_of(x, 1000) == INFINITY);
    x[3] = -INFINITY;
    assert_true(isnan(sum_of(x, 1000)));
    x[700] = 1;
    assert_true(sum_of(x, 1000) == -INFINITY);
    x[3] = NAN;
    assert_true(isnan(sum_of(x, 1000)));
    struct fsum s;
    fsum_init(&s);
    fsum_add_product(&s, 1e200, 1e200);
    assert_true(fsum_value(&s) == INFINITY);
}

static void test_products(void **unused)
{
    (void)unused;
    double *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
    fill(x, 1);
    fill(y, 0);
    struct fsum block, single;
    struct exact e = {{0}};
    fsum_init(&block);
    fsum_init(&single);
    fsum_add_product_block(&block, x, y, N);
    for (int i = 0; i < N; i++) {
        fsum_add_product(&single, x[i], y[i]);
        double p = x[i] * y[i];
        exact_add(&e, p);
        exact_add(&e, fma(x[i], y[i], -p));
    }
    same_bits(fsum_value(&block), fsum_value(&single));
    same_bits(fsum_value(&block), exact_value(&e));
    assert_true((double)fsum_wide(&block) == fsum_value(&block));
    /* n Σx² - (Σx)² of a narrow spread needs more than a double. */
    struct fsum sum, sum2;
    fsum_init(&sum);
    fsum_init(&sum2);
    for (int i = 0; i < N; i++)
        x[i] = 1e9 + (i & 1);
    fsum_add_block(&sum, x, N);
    fsum_add_product_block(&sum2, x, x, N);
    f128 m2 = fsum_wide(&sum2) - fsum_wide(&sum) * fsum_wide(&sum) / N;
    assert_true(fabs((double)m2 - N / 4.0) < 1e-6);
    fsum_init(&sum);
    fsum_add(&sum, -0x1p-1074);
    assert_true(fsum_wide(&sum) == (f128)-0x1p-1074);
    free(x);
    free(y);
}

static void test_floats(void **unused)
{
    (void)unused;
    float f[777];
    double d[777];
    for (int i = 0; i < 777; i++)
        d[i] = (double)(f[i] = (float)(random_unit() * 100 - 50));
    struct fsum s;
    fsum_init(&s);
    fsum_add_block_f32(&s, f, 777);
    same_bits(fsum_value(&s), sum_of(d, 777));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order),
                                       cmocka_unit_test(test_exact),
                                       cmocka_unit_test(test_rounding),
                                       cmocka_unit_test(test_special),
                                       cmocka_unit_test(test_products),
                                       cmocka_unit_test(test_floats),
                                       cmocka_unit_test(test_rows_and_columns),
                                       cmocka_unit_test(test_spread),
                                       cmocka_unit_test(test_planes),
                                       cmocka_unit_test(test_planes_refuse)};
    int failed = 0;
    for (enum isa i = ISA_BASELINE; i <= ISA_AVX512; i++) { /* the best there is, from some i on */
        isa_limit(i);
        print_message("%s\n", isa_name(isa_get()));
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    }
    return failed;
}
