/* A definition: one schema, owned, shared by reference count. What snapshots, transactions and open
 * arrays hold.
 *
 * Growth makes a new definition. Labels and dictionaries are shared between definitions that agree
 * on them; a dictionary's strings lie in one growing list, of which each definition sees its first
 * n. Threads: definitions are immutable; only the array's one writer appends to a list. */
#ifndef TESSERA_DEF_H
#define TESSERA_DEF_H
#include "storage/catalog.h"
#include <pthread.h>

/* Labels of an axis in logical order (axis.h), with their memory. */
struct label_set {
    atomic_int refs;
    struct arena *arena;
    struct labels labels;
};

/* The strings of a dictionary. strings[0 … n) of a definition never move or change while it lives.
 */
struct strings {
    atomic_int refs;
    struct arena *arena; /* bytes, and every list there was */
    struct text *list;
    int64_t n, cap;
    uint32_t *table; /* code + 1 by hash, 0: free; made by the first look-up */
    int64_t table_size;
};

struct def {
    atomic_int refs;
    struct arena *arena;
    struct schema s;
    struct label_set *labels[MAX_DIMS]; /* NULL: regular */
    struct strings **strings;           /* of each attribute; NULL: none yet */
    struct dict *dicts;
};

/* A copy of a schema with all it refers to. */
struct def *def_new(const struct schema *s);
/* A definition to change before anyone else sees it; shares labels and strings with d. extra_attrs:
 * room for so many more attributes at the end. */
struct def *def_copy(const struct def *d, int extra_attrs);
struct def *def_ref(struct def *d);
void def_unref(struct def *d); /* NULL allowed */
enum status def_load(struct ctx *c, struct catalog *cat, uint32_t array, int64_t version,
                     struct def **out);
/* Takes the reference; sets axis.labels, lo and hi. NULL: a regular axis, whose lo and hi stay. */
void def_set_labels(struct def *d, int dim, struct label_set *l);
/* The first n strings; takes no reference (it is the same list or a new one that is handed over).
 */
void def_set_strings(struct def *d, int attr, struct strings *s, int64_t n);
/* Forgets attribute k. */
void def_remove_attr(struct def *d, int k);

/* Labels of an axis that has `old` (NULL: none) and n more of these values, at stored positions
 * old->n …, in this order. Growing numbers and times are in order of value, the rest as stored. */
struct label_set *labels_grow(enum type type, bool grows, const struct labels *old,
                              const void *values, int64_t n);

/* For the writer of an array whose definition sees the first n of s (NULL, 0: none): the list to
 * append to, with a reference: s itself, or a copy when s has strings of an undone statement. */
struct strings *strings_writable(struct strings *s, int64_t n);
void strings_unref(struct strings *s); /* NULL allowed */
/* The string's code, added when it is new. -1: no more codes. */
int64_t strings_code(struct strings *s, struct text t);

#endif
