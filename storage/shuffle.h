/* The byte shuffle: n values of w bytes to w planes of n bytes, plane j holding byte j of each
 * value, and back. What Zarr v2's filter "shuffle" does. Neighbouring values share their high
 * bytes, so planes compress where values do not. */
#ifndef TESSERA_SHUFFLE_H
#define TESSERA_SHUFFLE_H
#include <stddef.h>
#include <stdint.h>

/* Any width ≥ 1; 2, 4, 8 and 16 are fast. src and dst must not overlap. */
void shuffle_bytes(const void *src, int64_t n, size_t width, void *dst);
void unshuffle_bytes(const void *src, int64_t n, size_t width, void *dst);
/* From planes that lie anywhere; width ≤ 16. */
void unshuffle_planes(const uint8_t *const *planes, int64_t n, size_t width, void *dst);

/* The same by one instruction set, for tests: 0 … shuffle_isas() - 1, of which 0 is plain C. */
int shuffle_isas(void);
void shuffle_bytes_by(int isa, const void *src, int64_t n, size_t width, void *dst);
void unshuffle_bytes_by(int isa, const void *src, int64_t n, size_t width, void *dst);

#endif
