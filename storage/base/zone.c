/* What does a zone's clock show at an instant, and when does it first show a time? */
#include "storage/base/zone.h"
#include "storage/base/datetime.h"
#include "storage/base/names.h"
#include "storage/base/strbuf.h"
#include "storage/base/zone_internal.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#define ZONEINFO "/usr/share/zoneinfo"

/* ---- asking a zone ---- */

struct period { /* of one offset; seconds */
    int64_t begin, end;
    int64_t offset;
};

static int64_t floor_seconds(int64_t us)
{
    return floor_div(us, US_PER_SECOND);
}

static struct period period_at(const struct zone *z, int64_t t)
{
    int64_t shift = 0;
    if (t >= z->cycle_end)
        shift = ((t - z->cycle_end) / ZONE_CYCLE_SECONDS + 1) * ZONE_CYCLE_SECONDS;
    t -= shift;
    int lo = 0, hi = z->n_changes; /* the first change after t */
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if (z->changes[mid] <= t)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (struct period){
        .begin = lo > 0 ? z->changes[lo - 1] + shift : INT64_MIN,
        .end = lo < z->n_changes ? z->changes[lo] + shift : INT64_MAX,
        .offset = z->offsets[lo],
    };
}

int64_t zone_local(const struct zone *z, int64_t utc)
{
    return utc + period_at(z, floor_seconds(utc)).offset * US_PER_SECOND;
}

int64_t zone_reaches(const struct zone *z, int64_t local)
{
    /* Before this no clock shows the time. */
    struct period p = period_at(z, floor_seconds(local) - ZONE_MAX_OFFSET);
    for (;;) {
        int64_t utc = local - p.offset * US_PER_SECOND;
        if (p.end == INT64_MAX || utc < p.end * US_PER_SECOND)
            return p.begin == INT64_MIN || utc > p.begin * US_PER_SECOND ? utc
                                                                         : p.begin * US_PER_SECOND;
        p = period_at(z, p.end);
    }
}

int64_t zone_instant(const struct zone *z, int64_t local)
{
    int64_t utc = zone_reaches(z, local);
    struct period p = period_at(z, floor_seconds(utc));
    if (utc + p.offset * US_PER_SECOND != local) /* left out: utc is the change */
        return local - period_at(z, p.begin - 1).offset * US_PER_SECOND;
    if (p.end == INT64_MAX) return utc;
    int64_t again = local - period_at(z, p.end).offset * US_PER_SECOND;
    return again >= p.end * US_PER_SECOND ? again : utc;
}

int64_t zone_latest(const struct zone *z, int64_t utc)
{
    struct period p = period_at(z, floor_seconds(utc));
    int64_t latest = utc + p.offset * US_PER_SECOND;
    /* A period that ended longer ago than two clocks differ has shown nothing later. */
    int64_t oldest = floor_seconds(utc) - 2 * ZONE_MAX_OFFSET;
    while (p.begin != INT64_MIN && p.begin > oldest) {
        int64_t end = p.begin;
        p = period_at(z, end - 1);
        int64_t last = (end + p.offset) * US_PER_SECOND - 1;
        if (last > latest) latest = last;
    }
    return latest;
}

const char *zone_name(const struct zone *z)
{
    return z->name;
}

/* ---- finding one by name ---- */

static pthread_mutex_t loaded_lock = PTHREAD_MUTEX_INITIALIZER;
/* Needs no file. */
static char utc_name[] = "UTC";
static struct zone utc = {.name = utc_name, .offsets = (int32_t[]){0}, .cycle_end = INT64_MAX};
static struct zone *loaded = &utc; /* all, for as long as the process lives; under the lock */

/* No dot, so nothing leads out of the folder. */
static bool name_is_plain(const char *name)
{
    if (!isalpha((unsigned char)*name)) return false;
    for (; *name; name++) {
        if (!isalnum((unsigned char)*name) && !strchr("/_+-", *name)) return false;
    }
    return true;
}

struct name_list {
    struct arena *arena;
    const char **names;
    int n, cap;
};

/* Every zone's name below a folder. What is no zone (tables, other forms of the same zones) has a
 * dot in its name or begins with a small letter. */
static void list_names(struct name_list *l, const char *below)
{
    char path[sizeof ZONEINFO + NAME_BYTES + 1];
    snprintf(path, sizeof path, ZONEINFO "/%s", below);
    DIR *d = opendir(path);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        if (!isupper((unsigned char)*e->d_name) || strchr(e->d_name, '.')) continue;
        const char *name = arena_printf(l->arena, "%s%s%s", below, *below ? "/" : "", e->d_name);
        if (strlen(name) >= NAME_BYTES) continue;
        if (e->d_type == DT_DIR) {
            list_names(l, name);
            continue;
        }
        if (l->n == l->cap) {
            l->cap = l->cap ? 2 * l->cap : 256;
            const char **more = arena_array(l->arena, const char *, l->cap);
            if (l->n) memcpy(more, l->names, sizeof *more * (size_t)l->n);
            l->names = more;
        }
        l->names[l->n++] = name;
    }
    closedir(d);
}

static enum status unknown(struct ctx *c, const char *name, const struct name_list *l)
{
    fail(c, ERR_INVALID_PARAMETER, "time zone \"%s\" not recognized", name);
    const char *near = nearest_name(name, l->names, l->n);
    if (near) return hint(c, "Perhaps you meant \"%s\".", near);
    if (l->n == 0) return hint(c, "There is no zoneinfo in " ZONEINFO "; install tzdata.");
    return hint(c, "Zones have names like \"Europe/Zurich\", \"America/New_York\" or \"UTC\".");
}

/* false: there is no such file. */
static bool read_file(const char *name, struct strbuf *out)
{
    char path[sizeof ZONEINFO + NAME_BYTES + 1];
    snprintf(path, sizeof path, ZONEINFO "/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n;
    do {
        n = read(fd, strbuf_grow(out, 65536), 65536);
        out->len -= (size_t)(65536 - (n > 0 ? n : 0));
    } while ((n > 0 && out->len < 1 << 20) || (n < 0 && errno == EINTR));
    close(fd);
    return n == 0;
}

static enum status load(struct ctx *c, const char *name, struct zone **out)
{
    struct strbuf bytes = STRBUF_INIT;
    const char *found = isupper((unsigned char)*name) && read_file(name, &bytes) ? name : NULL;
    struct name_list l = {.arena = arena_new()};
    if (!found) list_names(&l, "");
    for (int i = 0; i < l.n && !found; i++)
        if (strcasecmp(l.names[i], name) == 0 && read_file(l.names[i], &bytes)) found = l.names[i];
    enum status st = found ? zone_decode(c, found, bytes.s, bytes.len, out) : unknown(c, name, &l);
    arena_free(l.arena);
    strbuf_release(&bytes);
    return st;
}

enum status zone_find(struct ctx *c, struct text name, const struct zone **out)
{
    char s[NAME_BYTES];
    snprintf(s, sizeof s, "%.*s", (int)(name.len < NAME_BYTES ? name.len : NAME_BYTES), name.s);
    if (!name_is_plain(s) || strlen(s) != (size_t)name.len)
        return unknown(c, s, &(struct name_list){.names = (const char *[]){"UTC"}, .n = 1});
    pthread_mutex_lock(&loaded_lock);
    struct zone *z = loaded;
    while (z && strcasecmp(z->name, s) != 0)
        z = z->next;
    enum status st = OK;
    if (!z && (st = load(c, s, &z)) == OK) {
        z->next = loaded;
        loaded = z;
    }
    pthread_mutex_unlock(&loaded_lock);
    if (st == OK) *out = z;
    return st;
}
