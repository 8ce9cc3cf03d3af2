/* Many sums at once, of columns or rows of numbers: bin by bin of fsum.h, so that neighbouring sums
 * are added to as vectors.
 *
 * All sums have one window of bins. Numbers that it takes whole are summed without anything being
 * dropped, so the results are those of fsum_add(), in any order. Numbers that need more (of sizes
 * that differ by more than 2^60 or so, infinities) are refused; sums of their own take those. */
#ifndef TESSERA_FSUM_PLANES_H
#define TESSERA_FSUM_PLANES_H
#include "storage/base/fsum.h"

struct fsum_planes {
    void *memory; /* the owner's */
    int64_t n;
    int64_t *bin[FSUM_BINS]; /* of each sum, as in struct fsum */
    uint8_t *nan;
    int32_t top; /* FSUM_EMPTY: nothing was added */
    int32_t low; /* the lowest bin that may have been reached */
    int cut;     /* exponent of the unit that the last numbers were taken apart by */
    int n_folds; /* since digits were carried */
};

/* n_rows rows of n numbers, `stride` apart. */
struct fsum_block {
    const void *x;
    bool f32; /* of floats */
    int64_t n_rows, stride, n;
};

size_t fsum_planes_bytes(int64_t n);
/* Lets n empty sums lie in so many bytes. */
void fsum_planes_init(struct fsum_planes *p, void *memory, int64_t n);
/* Adds column i (or row i) to the sum number g[i]; negative: left out. False: numbers are refused,
 * and the sums are of no use any more. */
bool fsum_planes_columns(struct fsum_planes *p, const struct fsum_block *b, const int32_t *g);
bool fsum_planes_rows(struct fsum_planes *p, const struct fsum_block *b, const int32_t *g);
/* Makes room in the window for the other's sums; then fsum_planes_merge() adds some of them. */
bool fsum_planes_fit(struct fsum_planes *p, const struct fsum_planes *other);
void fsum_planes_merge(struct fsum_planes *p, const struct fsum_planes *other, int64_t lo,
                       int64_t hi);
/* May such a sum be added to one of these? Else what of it is dropped would depend on the order. */
bool fsum_planes_take(const struct fsum_planes *p, const struct fsum *sum);
void fsum_planes_get(const struct fsum_planes *p, int64_t i, struct fsum *out);

#endif
