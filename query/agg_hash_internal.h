/* What the hash table of groups (agg_table.c) and those who fill, spill and merge tables share. */
#ifndef TESSERA_AGG_HASH_INTERNAL_H
#define TESSERA_AGG_HASH_INTERNAL_H
#include "query/agg_internal.h"

/* How a group's key is laid out: words. First a bit a key that is NULL, then a word of sortkey.h
 * for each fixed-size key, two (pointer and length) for a text. NULL's words are 0. */
struct key_layout {
    int n_keys, n_words, n_null_words;
    const enum type *types;
    int *word_of;
    int n_texts;
};

/* Groups by key: an accumulator whose group g has the key at keys[g × n_words] and hash hashes[g].
 * Slots are open addresses of group number + 1 below the hash's upper half. Texts of keys lie in
 * the table's heap. */
struct group_table {
    const struct key_layout *layout;
    struct acc acc;
    uint64_t *keys, *hashes;
    uint64_t *slots;
    int64_t n_slots; /* a power of two; 0: none yet */
    struct text_heap heap;
};

enum status table_init(struct ctx *c, const struct key_layout *l, const struct agg_set *set,
                       struct group_table *t);
void table_free(struct group_table *t);
int64_t table_bytes(const struct group_table *t);
/* Room for n more groups within max_bytes; *ok false: refused. */
enum status table_reserve(struct ctx *c, struct group_table *t, int64_t n, int64_t max_bytes,
                          bool *ok);
/* The group of a key, made when it is new (room was made). */
enum status table_group(struct ctx *c, struct group_table *t, const uint64_t *key, uint64_t hash,
                        int32_t *out);
static inline void table_prefetch(const struct group_table *t, uint64_t hash)
{
    __builtin_prefetch(&t->slots[hash & ((uint64_t)t->n_slots - 1)]);
}
/* The groups of n keys, one after the other, into g[sel[i]]; room for all was made. */
enum status table_groups(struct ctx *c, struct group_table *t, const uint64_t *keys,
                         const uint64_t *hashes, const int32_t *sel, int64_t n, int32_t *g);
void key_hashes(const struct key_layout *l, const uint64_t *keys, int64_t n, uint64_t *hashes);
/* Forgets all groups but keeps the memory of arrays. */
void table_clear(struct group_table *t);

/* ---- groups of small integers (agg_direct.c) ---- */
#define DIRECT_KEYS 4
/* Of each place in a box of keys' words: its group in a table. */
struct direct_map {
    bool off; /* keys of another kind, or too far apart */
    uint64_t lo[DIRECT_KEYS], hi[DIRECT_KEYS];
    int32_t *groups; /* number + 1; 0: not known */
    int64_t n;
};
void direct_init(struct direct_map *d, const struct key_layout *l);
void direct_free(struct direct_map *d);
/* Forgets the groups. */
void direct_clear(struct direct_map *d);
/* Groups of the cells at + sel[0 … n), n ≤ AGG_BLOCK, into g[sel[i]]. Returns how many are not
 * known: which, with their places for direct_put(); -1: the map is off now, and nothing happened.
 */
int64_t direct_find(struct ctx *c, struct direct_map *d, const struct key_layout *l,
                    const struct column *cols, int64_t at, const int32_t *sel, int64_t n,
                    int32_t *g, int32_t *misses, int32_t *places);
void direct_put(struct direct_map *d, const int32_t *places, const int32_t *sel, int64_t n,
                const int32_t *g);

/* ---- from cells to groups (agg_fill.c) ---- */
/* Keys of the cells at + sel[0 … n), one after the other. */
void keys_make(const struct key_layout *l, const struct column *cols, int64_t at,
               const int32_t *sel, int64_t n, uint64_t *keys);
struct filling {
    struct group_table *table;
    struct direct_map *direct;                                             /* NULL: none */
    int64_t max_bytes;                                                     /* of the table */
    enum status (*full)(struct ctx *c, void *self, struct group_table *t); /* empties it */
    void *self;
    int64_t n_emptied;
};
/* The cells of the chunk with a bit in mask (NULL: all). */
enum status table_fill(struct ctx *c, struct filling *f, const struct column *keys,
                       const uint64_t *mask, const struct agg_input *in, int64_t n);

/* ---- cells set aside as rows (agg_rows.c) ---- */
#define ROW_PART_BITS 8
#define ROW_PARTS (1 << ROW_PART_BITS)
struct row_parts;
static inline int row_part_of(uint64_t hash)
{
    return (int)(hash >> (64 - ROW_PART_BITS));
}
enum status row_parts_new(struct ctx *c, const struct key_layout *l, const struct agg_set *set,
                          int64_t mem_bytes, const char *tmp_dir, struct row_parts **out);
void row_parts_free(struct row_parts *r); /* NULL allowed */
enum status row_parts_add(struct ctx *c, struct row_parts *r, const struct column *keys,
                          const uint64_t *mask, const struct agg_input *in, int64_t n);
int64_t row_parts_rows(const struct row_parts *r, int part);
/* Rows as a chunk whose first columns are the keys, and its input. */
enum status row_parts_read(struct ctx *c, const struct row_parts *r, int part, int64_t lo,
                           int64_t hi, struct chunk *chunk, struct agg_input *in);
void row_parts_drop(struct row_parts *r, int part); /* when they were read */

/* ---- spilled groups (agg_partition.c) ---- */
#define PARTITION_BITS 5
#define N_PARTITIONS (1 << PARTITION_BITS)
#define MAX_LEVEL 9

struct blob { /* serialised groups in the file */
    int64_t at, bytes;
    int64_t n;
};
struct partition {
    struct blob *blobs;
    int n, cap;
};
struct spill;
/* Writes all groups, apart by the level's bits of their hash, adds the blobs to parts[0 …
 * N_PARTITIONS), and clears the table. lock guards parts. */
enum status table_spill(struct ctx *c, struct group_table *t, int level, struct spill *file,
                        struct partition *parts, void *lock);
void partitions_free(struct partition *parts);
/* Merges the groups of a partition, in parts of at most max_bytes, and hands each complete table to
 * emit. */
typedef enum status table_fn(struct ctx *c, void *self, struct group_table *t);
/* Or of less than a partition: of what has these bits in its hash; then there are rows too, and
 * tables. */
struct row_part {
    const struct row_parts *rows;
    int part;
    const struct group_table *const *tables;
    int n_tables;
};
enum status partition_merge(struct ctx *c, const struct key_layout *l, const struct agg_set *set,
                            struct spill *file, const struct partition *p,
                            const struct row_part *rows, int level, int64_t max_bytes,
                            table_fn *emit, void *self);
/* How many groups a table has in each partition, added to counts. */
void table_count_parts(const struct group_table *t, int64_t *counts);
/* Those of one partition into another table, that has room for them. */
enum status table_merge_part(struct ctx *c, struct group_table *to, const struct group_table *from,
                             int part);

#endif
