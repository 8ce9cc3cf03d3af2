/* What does a schedule's text say, which rule do its slots come from, and what time is it? */
#include "query/schedule.h"
#include "query/session_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the text ---- */

static void put_text(struct strbuf *out, const char *key, const char *value)
{
    if (!value) return;
    strbuf_addf(out, "%s ", key);
    for (const char *p = value; *p; p++) {
        if (*p == '\n')
            strbuf_adds(out, "\\n");
        else if (*p == '\\')
            strbuf_adds(out, "\\\\");
        else
            strbuf_addc(out, *p);
    }
    strbuf_addc(out, '\n');
}

void schedule_text(const struct schedule *s, struct strbuf *out)
{
#define X(field) strbuf_addf(out, #field " %lld\n", (long long)s->field);
    SCHEDULE_NUMBERS(X)
#undef X
#define X(field) put_text(out, #field, s->field);
    SCHEDULE_TEXTS(X)
#undef X
}

static const char *read_text(struct arena *a, const char *s, size_t n)
{
    char *out = arena_alloc(a, n + 1);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\\' && i + 1 < n)
            out[k++] = s[++i] == 'n' ? '\n' : s[i];
        else
            out[k++] = s[i];
    }
    return out;
}

void schedule_read(struct arena *a, const char *name, const char *text, struct schedule *out)
{
    *out = (struct schedule){.name = arena_strdup(a, name)};
    for (const char *line = text, *end; *line && (end = strchr(line, '\n')); line = end + 1) {
        const char *value = memchr(line, ' ', (size_t)(end - line));
        if (!value) continue;
        size_t n = (size_t)(value - line);
        value++;
#define X(field)                                                                                   \
    if (n == sizeof #field - 1 && !memcmp(line, #field, n)) out->field = strtoll(value, NULL, 10);
        SCHEDULE_NUMBERS(X)
#undef X
#define X(field)                                                                                   \
    if (n == sizeof #field - 1 && !memcmp(line, #field, n))                                        \
        out->field = read_text(a, value, (size_t)(end - value));
        SCHEDULE_TEXTS(X)
#undef X
    }
}

/* ---- the rule ---- */

static struct text text_of(const char *s)
{
    return (struct text){s, s ? (int64_t)strlen(s) : 0};
}

enum status schedule_rule(struct ctx *c, const struct schedule *s, struct slot_rule *out)
{
    struct slot_text t = {.every = text_of(s->every),
                          .offset = text_of(s->offset),
                          .cron = text_of(s->cron),
                          .zone = text_of(s->zone),
                          .start = s->start_us,
                          .end = s->end_us};
    return slots_parse(c, &t, out);
}

static void add_quoted(struct strbuf *out, const char *word, const char *text)
{
    struct value v = text ? value_text(text) : value_null(T_TEXT);
    if (!text) return;
    strbuf_addf(out, "%s%s ", out->len ? " " : "", word);
    value_literal(&v, out);
}

void schedule_rule_text(const struct schedule *s, struct strbuf *out)
{
    add_quoted(out, "EVERY", s->every);
    add_quoted(out, "OFFSET", s->offset);
    add_quoted(out, "CRON", s->cron);
    if (s->after) strbuf_addf(out, "AFTER %s", s->after);
    add_quoted(out, "TIME ZONE", s->zone);
}

/* ---- all of them ---- */

struct listing {
    struct arena *arena;
    struct schedule *list;
    int n, cap;
};

static enum status list_one(struct ctx *c, void *self, const char *name, const char *text)
{
    struct listing *l = self;
    (void)c;
    if (l->n == l->cap) {
        struct schedule *more = arena_array(l->arena, struct schedule, l->cap ? 2 * l->cap : 16);
        if (l->n) memcpy(more, l->list, sizeof *more * (size_t)l->n);
        l->list = more;
        l->cap = l->cap ? 2 * l->cap : 16;
    }
    schedule_read(l->arena, name, text, &l->list[l->n++]);
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct schedule *)a)->name, ((const struct schedule *)b)->name);
}

enum status schedules_list(struct ctx *c, struct txn *t, struct arena *a, struct schedule **list,
                           int *n)
{
    struct listing l = {.arena = a};
    TRY(object_each(c, t, OBJECT_SCHEDULE, list_one, &l));
    if (l.n) qsort(l.list, (size_t)l.n, sizeof *l.list, by_name);
    *list = l.list;
    *n = l.n;
    return OK;
}

const struct schedule *schedule_named(const struct schedule *list, int n, const char *name)
{
    struct schedule key = {.name = name};
    return n ? bsearch(&key, list, (size_t)n, sizeof *list, by_name) : NULL;
}

bool schedule_root(const struct schedule *list, int n, const struct schedule *s,
                   const struct schedule **root)
{
    for (int depth = 0; s && s->after && depth <= n; depth++)
        s = schedule_named(list, n, s->after);
    if (!s || s->after) return false;
    *root = s;
    return true;
}

enum status engine_schedules(struct ctx *c, struct engine *e, struct arena *a,
                             struct schedule **list, int *n)
{
    struct txn *t;
    TRY(txn_begin(c, e->db, true, &t));
    enum status s = schedules_list(c, t, a, list, n);
    txn_rollback(t);
    return s;
}

struct db *engine_db(struct engine *e)
{
    return e->db;
}

const struct settings *engine_settings(const struct engine *e)
{
    return &e->settings;
}

/* ---- the time ---- */

bool schedule_clock_is_set(void)
{
    return getenv("TESSERA_CLOCK") != NULL;
}

int64_t schedule_clock_us(void)
{
    const char *path = getenv("TESSERA_CLOCK");
    long long us;
    FILE *f = path ? fopen(path, "r") : NULL;
    if (!f) return wall_us();
    bool read = fscanf(f, "%lld", &us) == 1;
    fclose(f);
    return read ? us : wall_us();
}
