/* The shell's variables: \set name value, -v name=value, :name in statements. */
#ifndef TESSERA_CLIENT_VARS_H
#define TESSERA_CLIENT_VARS_H
#include <stdbool.h>
#include <stddef.h>

struct vars;
struct vars *vars_new(void);
void vars_free(struct vars *v);
/* false: the name has other characters than letters, digits and _. value NULL: unset. */
bool vars_set(struct vars *v, const char *name, const char *value);
/* NULL when unset; valid until it is set again. */
const char *vars_get(const struct vars *v, const char *name);
const char *vars_getn(const struct vars *v, const char *name, size_t n);
/* Set to anything but off, false, no, 0. */
bool vars_on(const struct vars *v, const char *name);
bool vars_are(const struct vars *v, const char *name, const char *value); /* not case-sensitive */
/* In order of names: the first for name NULL, NULL behind the last. */
const char *vars_next(const struct vars *v, const char *name);

#endif
