/* Answers questions about schedules' slots for tests/oracle/slots_test.py.
 *
 * A request is a line of fields between tabs, "-" for none; instants are microseconds since 1970.
 *   rule every offset cron zone start end    says which rule the others ask: "ok" or "error …"
 *   next AFTER N, prev BEFORE N              up to N slots, forward or back
 *   count AFTER BEFORE, window SLOT
 *   clock FROM TO SEED                       a scheduler whose clock goes from FROM to TO in random
 *                                            steps: each slot as it finds it due
 *   local UTC, reaches LOCAL, latest UTC     of the rule's zone
 * The answer is a line of numbers. */
#include "storage/base/datetime.h"
#include "storage/base/slots.h"
#include "storage/base/zone.h"
#include <stdio.h>
#include <stdlib.h>

enum { MAX_FIELDS = 8 };

static struct text optional(const char *s)
{
    bool none = strcmp(s, "-") == 0;
    return (struct text){none ? NULL : s, none ? 0 : (int64_t)strlen(s)};
}

static int64_t instant(const char *s, int64_t none)
{
    return strcmp(s, "-") == 0 ? none : strtoll(s, NULL, 10);
}

static void read_rule(struct ctx *c, char **f, struct slot_rule *r)
{
    struct slot_text t = {.every = optional(f[1]),
                          .offset = optional(f[2]),
                          .cron = optional(f[3]),
                          .zone = optional(f[4]),
                          .start = instant(f[5], TIMESTAMP_MINUS_INFINITY),
                          .end = instant(f[6], TIMESTAMP_INFINITY)};
    enum status st = slots_parse(c, &t, r);
    if (st < 0)
        printf("error %s %s\n", status_sqlstate(st), c->err.message);
    else
        puts("ok");
    ctx_clear(c);
}

/* What a scheduler does: it looks at its clock now and then and takes what has become due. */
static void run_clock(const struct slot_rule *r, int64_t now, int64_t end, unsigned seed)
{
    int64_t last = now, slot;
    while (now < end) {
        int64_t step = (int64_t)(rand_r(&seed) % 1000) * (rand_r(&seed) % 1000) * US_PER_SECOND;
        now = now + step < end ? now + step : end;
        for (; slot_next(r, last, &slot) && slot <= now; last = slot)
            printf("%lld ", (long long)slot);
    }
    puts("");
}

static void answer(char **f, const struct slot_rule *r)
{
    int64_t x = instant(f[1], 0), y = f[2] ? instant(f[2], 0) : 0;
    bool forward = strcmp(f[0], "next") == 0;
    if (forward || strcmp(f[0], "prev") == 0) {
        while (y-- > 0 && (forward ? slot_next(r, x, &x) : slot_prev(r, x, &x)))
            printf("%lld ", (long long)x);
        puts("");
    } else if (strcmp(f[0], "clock") == 0) {
        run_clock(r, x, y, (unsigned)instant(f[3], 0));
    } else if (strcmp(f[0], "count") == 0) {
        printf("%lld\n", (long long)slot_count(r, x, y, INT64_MAX));
    } else if (strcmp(f[0], "window") == 0) {
        printf("%lld\n", (long long)slot_window_start(r, x));
    } else if (strcmp(f[0], "local") == 0) {
        printf("%lld\n", (long long)zone_local(r->zone, x));
    } else if (strcmp(f[0], "reaches") == 0) {
        printf("%lld\n", (long long)zone_reaches(r->zone, x));
    } else if (strcmp(f[0], "latest") == 0) {
        printf("%lld\n", (long long)zone_latest(r->zone, x));
    } else {
        fprintf(stderr, "slots_oracle: no such request: %s\n", f[0]);
        exit(2);
    }
}

int main(void)
{
    struct ctx c = {.arena = arena_new()};
    struct slot_rule r = {0};
    char *line = NULL, *fields[MAX_FIELDS];
    size_t cap = 0;
    ctx_clear(&c);
    while (getline(&line, &cap, stdin) > 0) {
        int n = 0;
        char *rest = line;
        line[strcspn(line, "\n")] = 0;
        memset(fields, 0, sizeof fields);
        while (rest && n < MAX_FIELDS)
            fields[n++] = strsep(&rest, "\t");
        if (strcmp(fields[0], "rule") == 0)
            read_rule(&c, fields, &r);
        else
            answer(fields, &r);
        fflush(stdout);
    }
    free(line);
    arena_free(c.arena);
    return 0;
}
