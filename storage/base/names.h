/* Names: those near to each other, for hints, and how one is written in a statement's text. */
#ifndef TESSERA_NAMES_H
#define TESSERA_NAMES_H
#include "storage/base/arena.h"
#define NAME_BYTES 64 /* names have at most 63, as PostgreSQL's */

/* The nearest of some names to a misspelt one; NULL when none is near. */
const char *nearest_name(const char *name, const char *const *among, int n);

/* In double quotes, those within it doubled. */
const char *quoted_name(struct arena *a, const char *name);

#endif
