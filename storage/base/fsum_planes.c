/* How are many sums taken at once, without dropping anything?
 *
 * Invariants:
 * 1. Every number so far is below 2^(30 (top + 1)) and a multiple of 2^(30 low); top - low is below
 *    FSUM_BINS. So whatever window fsum_add() would have had for one of the sums, it would have
 *    dropped nothing, and the value is that of the exact sum.
 * 2. A sum's value is that of its bins, with any carries.
 *
 * Numbers are taken apart twice: in two parts on a grid that suits the block at hand, then the
 * columns' sums into bins. The grid is the last block's for as long as it does; whether it did is
 * seen on the way. */
#include "storage/base/fsum_planes.h"
#include "storage/base/fsum_internal.h"
#include "storage/base/fsum_kernels.h"
#include <float.h>
#include <math.h>

#define NO_CUT INT32_MAX
#define MOST_FOLDS 1024 /* of less than 2^52 */
#define STEP 1024       /* columns at a time: their sums stay in L1 */
#define ROOM (FSUM_MOST / FSUM_LANES * FSUM_LANES)

size_t fsum_planes_bytes(int64_t n)
{
    return (size_t)n * (FSUM_BINS * sizeof(int64_t) + 1) + 8;
}

void fsum_planes_init(struct fsum_planes *p, void *memory, int64_t n)
{
    int64_t *at = memory;
    *p = (struct fsum_planes){
        .memory = memory, .n = n, .top = FSUM_EMPTY, .low = INT32_MAX, .cut = NO_CUT};
    memset(memory, 0, fsum_planes_bytes(n));
    for (int k = 0; k < FSUM_BINS; k++)
        p->bin[k] = at + k * n;
    p->nan = (uint8_t *)(at + FSUM_BINS * n);
}

/* ---- the window ---- */

/* Bins top … low are to be in it. */
static bool reach(struct fsum_planes *p, int32_t top, int32_t low)
{
    if (p->top != FSUM_EMPTY && p->top > top) top = p->top;
    if (p->low < low) low = p->low;
    if (top - low >= FSUM_BINS) return false;
    for (; p->top != FSUM_EMPTY && p->top < top; p->top++) {
        int64_t *last = p->bin[FSUM_BINS - 1]; /* of zeros */
        memmove(p->bin + 1, p->bin, sizeof *p->bin * (FSUM_BINS - 1));
        p->bin[0] = last;
    }
    p->top = top;
    p->low = low;
    return true;
}

static void carry(struct fsum_planes *p)
{
    for (int k = FSUM_BINS - 1; k > 0; k--)
        for (int64_t i = 0; i < p->n; i++) {
            int64_t digit = p->bin[k][i] & DIGIT_MASK;
            p->bin[k - 1][i] += (p->bin[k][i] - digit) >> DIGIT_BITS;
            p->bin[k][i] = digit;
        }
    p->n_folds = 0;
}

/* ---- what is there to add? ---- */

struct extent { /* of a block's numbers but 0 and NaN */
    double most, least;
};

static void widen_row(const struct fsum_block *b, int64_t row, int64_t at, int64_t n, double *out)
{
    const void *from = b->f32 ? (const void *)((const float *)b->x + row * b->stride + at)
                              : (const void *)((const double *)b->x + row * b->stride + at);
    if (b->f32)
        fsum_kernels_get()->widen(from, n, out);
    else
        memcpy(out, from, (size_t)n * sizeof *out);
}

static struct extent extent_of(const struct fsum_block *b)
{
    struct extent e = {0, (double)INFINITY};
    double most[FSUM_LANES], least[FSUM_LANES], room[ROOM];
    for (int64_t r = 0; r < b->n_rows; r++)
        for (int64_t i = 0; i < b->n; i += ROOM) {
            int64_t n = b->n - i < ROOM ? b->n - i : ROOM;
            int64_t vecs = (n + FSUM_LANES - 1) / FSUM_LANES;
            memset(room + (vecs - 1) * FSUM_LANES, 0, sizeof *room * FSUM_LANES);
            widen_row(b, r, i, n, room);
            fsum_kernels_get()->range(&(struct fsum_rows){room, 1, 0, vecs}, most, least);
            for (int k = 0; k < FSUM_LANES; k++) {
                e.most = most[k] > e.most ? most[k] : e.most;
                e.least = least[k] < e.least ? least[k] : e.least;
            }
        }
    return e;
}

/* A window that takes the block's numbers, and p->cut: the unit of their high part, NO_CUT where
 * they are of too many sizes for two parts. */
static bool fit(struct fsum_planes *p, const struct extent *e, bool f32)
{
    if (e->most > DBL_MAX) return false;
    int highest = exponent_of_bits(abs_bits(e->most));
    int lowest = exponent_of_bits(abs_bits(e->least)) - (f32 ? FLT_MANT_DIG : DBL_MANT_DIG) + 1;
    int smallest = DIGIT_BITS * (LOWEST_TOP - FSUM_BINS + 1); /* below all denormals */
    if (lowest < smallest) lowest = smallest;
    if (!reach(p, bin_of(abs_bits(e->most)), bin_of_exponent(lowest))) return false;
    int least = highest + 1 - FSUM_HIGH, most = lowest + FSUM_LOW;
    int end = DIGIT_BITS * (p->top - FSUM_BINS + 1) + FSUM_LOW; /* the window's */
    if (least < end) least = end;
    if (most > 0) most = 0; /* else the smallest numbers might vanish when they are scaled */
    if (most > DIGIT_BITS * p->top - 1) most = DIGIT_BITS * p->top - 1;
    p->cut = least <= most && most > -900 ? least + (most - least) / 2 : NO_CUT;
    return true;
}

/* ---- adding ---- */

/* Sums that go to places beside one another. */
static int64_t run_of(const int32_t *g, int64_t i, int64_t n)
{
    int64_t k = i + 1;
    while (k < n && g[k] == g[k - 1] + 1 && g[i] >= 0)
        k++;
    return k;
}

static void note_nans(struct fsum_planes *p, const int32_t *g, struct fsum_parts *parts, int64_t n)
{
    double zero = 0;
    for (int64_t i = 0; i < n; i++)
        zero += parts->hi[i] * 0;
    for (int64_t i = 0; zero != zero && i < n; i++) {
        if (parts->hi[i] == parts->hi[i]) continue;
        if (g[i] >= 0) p->nan[g[i]] = 1;
        parts->hi[i] = parts->lo[i] = 0;
    }
}

static void fold(struct fsum_planes *p, const int32_t *g, struct fsum_parts *parts, int64_t n)
{
    int64_t *bins[FSUM_BINS];
    int32_t first = bin_of_exponent(p->cut) + 1;
    double scale = power_of_two(p->cut - DIGIT_BITS * first);
    if (p->n_folds++ == MOST_FOLDS) carry(p);
    note_nans(p, g, parts, n);
    for (int64_t i = 0, end; i < n; i = end) {
        end = run_of(g, i, n);
        if (g[i] < 0) continue;
        for (int k = 0; k < FSUM_BINS; k++) {
            int at = p->top - first + k;
            bins[k] = at < FSUM_BINS ? p->bin[at] + g[i] : NULL;
        }
        fsum_kernels_get()->fold(parts, i, end - i, scale, bins);
    }
}

/* Eight sums of digits in the window's bins, of the first n lanes. */
static void add_digits(struct fsum_planes *p, const int32_t *g, int64_t n, const double *digits)
{
    for (int64_t i = 0; i < n; i++) {
        if (g[i] < 0) continue;
        bool nan = digits[FSUM_LANES + i] != digits[FSUM_LANES + i];
        p->nan[g[i]] |= nan;
        for (int k = 0; k < FSUM_BINS && !nan; k++)
            p->bin[k][g[i]] += (int64_t)digits[k * FSUM_LANES + i];
    }
}

static double scale_of(const struct fsum_planes *p)
{
    return p->top == FSUM_EMPTY ? 0 : power_of_two(-DIGIT_BITS * p->top);
}

/* Of too many sizes for two parts: digit by digit. */
static void add_columns(struct fsum_planes *p, const struct fsum_block *b, const int32_t *g)
{
    double room[ROOM], scale[FSUM_LANES], digits[FSUM_BINS * FSUM_LANES];
    const int64_t most = ROOM / FSUM_LANES;
    for (int i = 0; i < FSUM_LANES; i++)
        scale[i] = scale_of(p);
    for (int64_t i = 0; i < b->n; i += FSUM_LANES)
        for (int64_t r = 0; r < b->n_rows; r += most) {
            struct fsum_rows rows = {room, b->n_rows - r < most ? b->n_rows - r : most, FSUM_LANES,
                                     1};
            int64_t n = b->n - i < FSUM_LANES ? b->n - i : FSUM_LANES;
            memset(room, 0, sizeof room);
            for (int64_t k = 0; k < rows.n_rows; k++)
                widen_row(b, r + k, i, n, room + k * FSUM_LANES);
            fsum_kernels_get()->digits(&rows, scale, FSUM_BINS, digits);
            add_digits(p, g + i, n, digits);
        }
}

static void add_rows(struct fsum_planes *p, const struct fsum_block *b, const int32_t *g)
{
    double room[ROOM], scale[FSUM_LANES], digits[FSUM_BINS * FSUM_LANES];
    for (int i = 0; i < FSUM_LANES; i++)
        scale[i] = scale_of(p);
    for (int64_t r = 0; r < b->n_rows; r++)
        for (int64_t i = 0; i < b->n; i += ROOM) {
            int64_t n = b->n - i < ROOM ? b->n - i : ROOM;
            int64_t vecs = (n + FSUM_LANES - 1) / FSUM_LANES;
            memset(room + (vecs - 1) * FSUM_LANES, 0, sizeof *room * FSUM_LANES);
            widen_row(b, r, i, n, room);
            fsum_kernels_get()->digits(&(struct fsum_rows){room, 1, 0, vecs}, scale, FSUM_BINS,
                                       digits);
            for (int l = 0; l < FSUM_LANES; l++)
                add_digits(p, g + r, 1, digits + l);
        }
}

/* On the grid that there is, if the block's numbers are. */
static bool add_quickly(struct fsum_planes *p, const struct fsum_block *b, const int32_t *g,
                        bool by_rows)
{
    const struct fsum_kernels *k = fsum_kernels_get();
    double hi[STEP], lo[STEP];
    struct fsum_parts parts = {.f32 = b->f32, .hi = hi, .lo = lo};
    if (p->cut == NO_CUT || (by_rows && b->n < FSUM_LANES)) return false;
    parts.scale = power_of_two(-p->cut);
    (by_rows ? k->lines : k->columns)(&(struct fsum_rows){b->x, b->n_rows, b->stride, 0}, b->n,
                                      &parts);
    if (parts.bad || parts.most >= power_of_two(p->cut + FSUM_HIGH)) return false;
    int32_t top = parts.most > 0 ? bin_of(abs_bits(parts.most)) : p->top;
    if (!reach(p, top, bin_of_exponent(p->cut - FSUM_LOW))) return false;
    fold(p, g, &parts, by_rows ? b->n_rows : b->n);
    return true;
}

/* At most STEP sums, each of at most FSUM_MOST numbers. */
static bool add_block(struct fsum_planes *p, const struct fsum_block *b, const int32_t *g,
                      bool by_rows)
{
    if (add_quickly(p, b, g, by_rows)) return true;
    struct extent e = extent_of(b);
    bool zeros = e.most == 0; /* and NaNs: no window is needed */
    if (!zeros && !fit(p, &e, b->f32)) return false;
    if (!zeros && add_quickly(p, b, g, by_rows)) return true;
    p->n_folds++;
    (by_rows ? add_rows : add_columns)(p, b, g);
    return true;
}

static struct fsum_block part_of(const struct fsum_block *b, int64_t row, int64_t at)
{
    struct fsum_block part = *b;
    int64_t skip = row * b->stride + at;
    part.x = b->f32 ? (const void *)((const float *)b->x + skip)
                    : (const void *)((const double *)b->x + skip);
    part.n_rows -= row;
    part.n -= at;
    return part;
}

bool fsum_planes_columns(struct fsum_planes *p, const struct fsum_block *b, const int32_t *g)
{
    for (int64_t i = 0; i < b->n; i += STEP)
        for (int64_t r = 0; r < b->n_rows; r += FSUM_MOST) {
            struct fsum_block part = part_of(b, r, i);
            if (part.n > STEP) part.n = STEP;
            if (part.n_rows > FSUM_MOST) part.n_rows = FSUM_MOST;
            if (!add_block(p, &part, g + i, false)) return false;
        }
    return true;
}

bool fsum_planes_rows(struct fsum_planes *p, const struct fsum_block *b, const int32_t *g)
{
    for (int64_t r = 0; r < b->n_rows; r += STEP)
        for (int64_t i = 0; i < b->n; i += FSUM_MOST) {
            struct fsum_block part = part_of(b, r, i);
            if (part.n > FSUM_MOST) part.n = FSUM_MOST;
            if (part.n_rows > STEP) part.n_rows = STEP;
            if (!add_block(p, &part, g + r, true)) return false;
        }
    return true;
}

/* ---- results ---- */

bool fsum_planes_fit(struct fsum_planes *p, const struct fsum_planes *other)
{
    if (other->top == FSUM_EMPTY) return true;
    carry(p);
    return reach(p, other->top, other->low);
}

void fsum_planes_merge(struct fsum_planes *p, const struct fsum_planes *other, int64_t lo,
                       int64_t hi)
{
    if (other->top == FSUM_EMPTY) return;
    int down = p->top - other->top;
    for (int64_t i = lo; i < hi; i++)
        p->nan[i] |= other->nan[i];
    for (int k = 0; k + down < FSUM_BINS; k++)
        for (int64_t i = lo; i < hi; i++)
            p->bin[k + down][i] += other->bin[k][i];
}

bool fsum_planes_take(const struct fsum_planes *p, const struct fsum *sum)
{
    if (p->top == FSUM_EMPTY || sum->top == FSUM_EMPTY) return true;
    if (sum->top > p->top) return sum->top - p->low < FSUM_BINS;
    int first = FSUM_BINS - (p->top - sum->top); /* of those that the window lacks */
    for (int k = first < 0 ? 0 : first; k < FSUM_BINS; k++)
        if (sum->bin[k]) return false;
    return true;
}

void fsum_planes_get(const struct fsum_planes *p, int64_t i, struct fsum *out)
{
    fsum_init(out);
    out->top = p->top;
    out->has_nan = p->nan[i];
    for (int k = 0; k < FSUM_BINS; k++)
        out->bin[k] = p->bin[k][i];
}
