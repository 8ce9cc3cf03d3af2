/* What does a refresh remember of its sources, and what does that tell the next one?
 *
 * The text is a line for the views and functions that the query goes through, then one a source:
 *
 *   <hash of their texts>
 *   <id> <version> <hash of its definition> <end of each axis> …
 *
 * A definition is hashed without the ends of its axes, its labels up to them: so one that has only
 * grown is found to be the same with the ends that were remembered. */
#include "query/materialized.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* ---- sources ---- */

static void add_source(struct ctx *c, struct sources *of, struct array *a)
{
    int at = 0;
    while (at < of->n && array_schema(of->list[at].array)->id < array_schema(a)->id)
        at++;
    if (at < of->n && of->list[at].array == a) return;
    struct source *list = arena_array(c->arena, struct source, of->n + 1);
    if (at) memcpy(list, of->list, sizeof *list * (size_t)at);
    if (of->n > at) memcpy(list + at + 1, of->list + at, sizeof *list * (size_t)(of->n - at));
    list[at] = (struct source){.array = a};
    of->list = list;
    of->n++;
}

static void add_scans(struct ctx *c, struct sources *of, const struct plan *p)
{
    if (p->kind == P_SCAN) add_source(c, of, p->array);
    for (int i = 0; i < p->n_in; i++)
        add_scans(c, of, p->in[i]);
}

enum status query_sources(struct ctx *c, const struct query *q, struct sources *out)
{
    *out = (struct sources){0};
    add_scans(c, out, q->root);
    for (int i = 0; i < q->n_subqueries; i++)
        add_scans(c, out, q->subqueries[i]->plan);
    return OK;
}

/* ---- definitions ---- */

static void hash_bytes(XXH3_state_t *h, const void *p, size_t n)
{
    int64_t length = (int64_t)n;
    XXH3_64bits_update(h, &length, sizeof length);
    if (n) XXH3_64bits_update(h, p, n);
}

static void hash_int(XXH3_state_t *h, int64_t v)
{
    XXH3_64bits_update(h, &v, sizeof v);
}

static void hash_value(XXH3_state_t *h, const struct value *v)
{
    hash_int(h, v->null);
    if (v->null) return;
    if (v->type == T_TEXT)
        hash_bytes(h, v->t.s, (size_t)v->t.len);
    else
        hash_int(h, v->i);
}

static void hash_axis(XXH3_state_t *h, const struct axis *a, int64_t hi)
{
    const int64_t facts[] = {a->type,       a->kind,          a->lo,
                             a->origin,     a->step,          a->step_months,
                             a->dstep.mant, a->dstep.scale,   a->dorigin.mant,
                             a->grows,      a->dorigin.scale, a->labels && a->labels->stored};
    XXH3_64bits_update(h, facts, sizeof facts);
    for (int64_t i = 0; a->labels && i < hi; i++) {
        struct value v = value_get(a->type, a->labels->values, i);
        hash_value(h, &v);
    }
}

/* Of the definition as if its axes ended at `hi`, which they reach. */
static uint64_t hash_definition(const struct schema *s, const int64_t *hi)
{
    XXH3_state_t *h = XXH3_createState();
    if (!h) abort();
    XXH3_64bits_reset(h);
    for (int d = 0; d < s->n_dims; d++) {
        hash_bytes(h, s->dims[d].name, strlen(s->dims[d].name));
        hash_axis(h, &s->dims[d].axis, hi[d]);
    }
    for (int k = 0; k < s->n_attrs; k++) {
        const struct attr *a = &s->attrs[k];
        hash_bytes(h, a->name, strlen(a->name));
        hash_int(h, a->id);
        hash_int(h, a->type);
        if (a->added_later) hash_value(h, &a->deflt);
    }
    uint64_t hash = XXH3_64bits_digest(h);
    XXH3_freeState(h);
    return hash;
}

/* ---- views and functions ---- */

struct texts {
    const char **names, **texts;
    int n;
    bool *taken;
};

static enum status note_text(struct ctx *c, void *self, const char *name, const char *text)
{
    struct texts *t = self;
    t->names = arena_room(c->arena, t->names, t->n, sizeof *t->names);
    t->texts = arena_room(c->arena, t->texts, t->n, sizeof *t->texts);
    t->names[t->n] = arena_strdup(c->arena, name);
    t->texts[t->n++] = arena_strdup(c->arena, text);
    return OK;
}

static void take_named(struct texts *t, const char *text)
{
    for (int i = 0; i < t->n; i++) {
        if (t->taken[i] || !strcasestr(text, t->names[i])) continue;
        t->taken[i] = true;
        take_named(t, t->texts[i]);
    }
}

/* Of all that the query's text may mean, and theirs; their order is that of the catalog. */
static enum status hash_objects(struct ctx *c, struct session *s, const struct materialized *m,
                                uint64_t *out)
{
    struct texts t = {0};
    TRY(object_each(c, s->txn, OBJECT_VIEW, note_text, &t));
    TRY(object_each(c, s->txn, OBJECT_FUNCTION, note_text, &t));
    t.taken = arena_array(c->arena, bool, t.n + 1);
    take_named(&t, m->text);
    uint64_t sum = XXH3_64bits(m->text, strlen(m->text));
    for (int i = 0; i < t.n; i++) /* a sum: their own changes come last in a walk */
        if (t.taken[i])
            sum += XXH3_64bits_withSeed(t.texts[i], strlen(t.texts[i]),
                                        XXH3_64bits(t.names[i], strlen(t.names[i])));
    *out = sum;
    return OK;
}

/* ---- remembering ---- */

enum status sources_remember(struct ctx *c, struct session *s, const struct materialized *m,
                             const struct sources *of, const char **text)
{
    struct strbuf out = STRBUF_INIT;
    uint64_t objects;
    TRY(hash_objects(c, s, m, &objects));
    strbuf_addf(&out, "%" PRIu64 "\n", objects);
    for (int i = 0; i < of->n; i++) {
        const struct schema *schema = array_schema(of->list[i].array);
        int64_t hi[MAX_DIMS];
        for (int d = 0; d < schema->n_dims; d++)
            hi[d] = schema->dims[d].axis.hi;
        strbuf_addf(&out, "%u %" PRId64 " %" PRIu64, schema->id, array_version(of->list[i].array),
                    hash_definition(schema, hi));
        for (int d = 0; d < schema->n_dims; d++)
            strbuf_addf(&out, " %" PRId64, hi[d]);
        strbuf_addc(&out, '\n');
    }
    *text = arena_strdup(c->arena, out.s);
    strbuf_release(&out);
    return OK;
}

static const char *next_line(const char *at)
{
    const char *end = strchr(at, '\n');
    return end ? end + 1 : at + strlen(at);
}

void seen_walk(const char *text, void (*fn)(void *self, uint32_t id, int64_t version), void *self)
{
    for (const char *at = next_line(text); *at; at = next_line(at)) {
        char *end;
        uint32_t id = (uint32_t)strtoul(at, &end, 10);
        fn(self, id, strtoll(end, NULL, 10));
    }
}

/* One line; *why when the source is not what it was, but for longer axes. */
static const char *recall_one(struct ctx *c, struct source *s, const char *line, const char **why)
{
    const struct schema *schema = array_schema(s->array);
    char *at;
    uint32_t id = (uint32_t)strtoul(line, &at, 10);
    s->since = strtoll(at, &at, 10);
    uint64_t hash = strtoull(at, &at, 10);
    bool same = id == schema->id;
    for (int d = 0; same && d < schema->n_dims; d++) {
        s->hi[d] = strtoll(at, &at, 10);
        same = s->hi[d] <= schema->dims[d].axis.hi;
        s->grown = s->grown || s->hi[d] < schema->dims[d].axis.hi;
    }
    if (!same || hash != hash_definition(schema, s->hi))
        *why = arena_printf(c->arena, "array %s has another definition than it had", schema->name);
    return next_line(line);
}

enum status sources_recall(struct ctx *c, struct session *s, const struct materialized *m,
                           struct sources *of, const char *text, const char **why)
{
    uint64_t objects;
    int n = 0;
    *why = NULL;
    if (!text) {
        *why = "it was never refreshed";
        return OK;
    }
    TRY(hash_objects(c, s, m, &objects));
    for (const char *at = next_line(text); *at; at = next_line(at))
        n++;
    if (strtoull(text, NULL, 10) != objects)
        *why = "views or functions that it names have changed";
    else if (n != of->n)
        *why = "it reads other arrays than it did";
    const char *line = next_line(text);
    for (int i = 0; i < of->n && !*why; i++)
        line = recall_one(c, &of->list[i], line, why);
    for (int i = 0; i < of->n && !*why; i++)
        TRY(array_changes(c, of->list[i].array, of->list[i].since, &of->list[i].tiles));
    return OK;
}
