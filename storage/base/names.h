/* Names that are near to each other: for hints. */
#ifndef TESSERA_NAMES_H
#define TESSERA_NAMES_H
#define NAME_BYTES 64 /* names have at most 63, as PostgreSQL's */

/* The nearest of some names to a misspelt one; NULL when none is near. */
const char *nearest_name(const char *name, const char *const *among, int n);

#endif
