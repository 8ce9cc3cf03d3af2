/* Which fault points are armed, and what happens on reaching one. */
#include "storage/fault.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[N_FAULTS] = {
#define X(id, name) name,
    FAULT_LIST(X)
#undef X
};

struct armed {
    atomic_int left; /* passes until it fires; 0: not armed */
    bool io;
};
static struct armed armed[N_FAULTS];
static atomic_bool any_armed;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void arm(const char *spec)
{
    for (int f = 0; f < N_FAULTS; f++)
        atomic_store(&armed[f].left, 0);
    bool any = false;
    for (const char *p = spec; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : "") {
        for (int f = 0; f < N_FAULTS; f++) {
            size_t len = strlen(names[f]);
            if (strncmp(p, names[f], len) != 0 || p[len] != ':') continue;
            char *end;
            long n = strtol(p + len + 1, &end, 10);
            armed[f].io = strncmp(end, ":io", 3) == 0;
            atomic_store(&armed[f].left, n > 0 ? (int)n : 0);
            any = true;
        }
    }
    atomic_store(&any_armed, any);
}

static void arm_from_environment(void)
{
    const char *spec = getenv("TESSERA_FAULT");
    if (spec) arm(spec);
}

void fault_set(const char *spec)
{
    pthread_once(&once, arm_from_environment);
    arm(spec);
}

enum status fault_point(struct ctx *c, enum fault f)
{
    pthread_once(&once, arm_from_environment);
    if (!atomic_load_explicit(&any_armed, memory_order_relaxed)) return OK;
    if (atomic_load(&armed[f].left) <= 0 || atomic_fetch_sub(&armed[f].left, 1) != 1) return OK;
    if (!armed[f].io) _exit(137);
    return fail(c, ERR_IO, "could not write: fault point \"%s\"", names[f]);
}
