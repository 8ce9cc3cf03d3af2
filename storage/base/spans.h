/* Spans: huge pages cut into equal blocks, for buffers of a large part of a MiB that come and go.
 * First touch of a huge page costs a tenth of that of the small pages in it, and a block that was
 * used before costs nothing. Thread-safe. */
#ifndef TESSERA_SPANS_H
#define TESSERA_SPANS_H
#include <stddef.h>

struct span;

/* The block that so many bytes would get; 0: none, since too much of it would stay unused or they
 * are too few or too many. */
size_t span_block_bytes(size_t bytes);
/* A block of span_block_bytes(bytes) bytes, 64-byte aligned, and its span; NULL: the system has no
 * memory. What it holds is anything. */
void *span_take(size_t bytes, struct span **span);
void span_give(struct span *span, void *block);

#endif
