/* What the files of rowset_sort() share: rows in memory with their keys' words, and how they
 * compare. */
#ifndef TESSERA_ROWSET_SORT_H
#define TESSERA_ROWSET_SORT_H
#include "query/rowset_internal.h"

struct sorter {
    const struct rowset_key *keys;
    int n_keys;
    int64_t limit;       /* -1: none */
    int64_t batch_bytes; /* what one worker may take for rows that it sorts */
    bool texts;          /* some key is a text */
    int n_words;         /* at most 2 a key */
    int *word_of;        /* first word of each key */
    bool *nullable;      /* the key has a NULL word */
};

/* Rows in memory with their keys' words: words[w * n + row]. */
struct batch {
    int64_t n;
    struct column *cols;
    uint64_t *words;
};

/* Rows [lo, hi) into c->scratch. */
enum status batch_read(struct ctx *c, const struct sorter *s, const struct rowset *from, int64_t lo,
                       int64_t hi, struct batch *out);
int batch_compare(const struct sorter *s, const struct batch *a, int64_t i, const struct batch *b,
                  int64_t j);
/* The batch's rows in order, stable; in c->scratch. */
enum status batch_order(struct ctx *c, const struct sorter *s, const struct batch *b,
                        int64_t **out);
/* Sorted rows of a rowset to the end of another, of which as many as the limit says. The first
 * fits in memory whole. */
enum status rowset_sort_whole(struct ctx *c, const struct sorter *s, const struct rowset *in,
                              struct rowset *out);
/* How many rows a batch may have. */
int64_t batch_rows(const struct sorter *s, const struct rowset *in);
/* One that doesn't: apart by splitters, in many workers. */
enum status rowset_sort_parts(struct ctx *c, const struct sorter *s, const struct rowset *in,
                              struct rowset *out);

#endif
