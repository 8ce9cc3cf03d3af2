/* Arena: memory that is freed all at once. Holds trees, plans, names: what one statement needs
 * until its end. Nothing in it is freed singly. Not for large data: that comes from the budget
 * (budget.h). One thread at a time. Allocation does not fail: the process aborts when the system
 * has none left, which the accounted budget exists to prevent. */
#ifndef TESSERA_ARENA_H
#define TESSERA_ARENA_H
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a); /* NULL is allowed */
/* Drops everything but keeps the first block for reuse. */
void arena_reset(struct arena *a);
/* Zeroed, aligned to 16 bytes. */
void *arena_alloc(struct arena *a, size_t bytes);
void *arena_dup(struct arena *a, const void *src, size_t bytes);
/* Room for one element more in a list of n that lives in the arena, NULL while it has none. */
void *arena_room(struct arena *a, void *list, int64_t n, size_t bytes);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap);

#define arena_new_of(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (size_t)(n)))

#endif
