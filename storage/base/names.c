/* Which known name did a misspelt one mean? */
#include "storage/base/names.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Insertions, deletions, changes and swaps of neighbours that turn a into b (at most 63 bytes
 * each), case aside. */
static int distance(const char *a, size_t n, const char *b, size_t m)
{
    int rows[3][NAME_BYTES + 1];
    int *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= m; j++)
        last[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        now[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            int best = last[j - 1] + (x != y);
            if (last[j] + 1 < best) best = last[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                           y == tolower((unsigned char)a[i - 2]);
            if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            now[j] = best;
        }
        int *oldest = before;
        before = last;
        last = now;
        now = oldest;
    }
    return last[m];
}

const char *nearest_name(const char *name, const char *const *among, int n)
{
    size_t len = strlen(name);
    if (len == 0 || len >= NAME_BYTES) return NULL;
    /* A third of the letters may be wrong, at least one, but never all. */
    int best = (int)(len < 3 ? 1 : len / 3) + 1;
    if (best > (int)len) best = (int)len;
    const char *nearest = NULL;
    for (int i = 0; i < n; i++) {
        size_t other = strlen(among[i]);
        if (other == 0 || other >= NAME_BYTES) continue;
        int d = distance(name, len, among[i], other);
        if (d < best) {
            best = d;
            nearest = among[i];
        }
    }
    return nearest;
}

const char *quoted_name(struct arena *a, const char *name)
{
    char *out = arena_alloc(a, 2 * strlen(name) + 3), *to = out;
    *to++ = '"';
    for (; *name; name++) {
        if (*name == '"') *to++ = '"';
        *to++ = *name;
    }
    *to = '"';
    return out;
}
