/* Which array do members of an .npz archive make? Each is an .npy file: an attribute of its own,
 * over dimensions that all of them share. */
#include "storage/base/names.h"
#include "storage/files/npy_format.h"
#include "storage/files/source_parts.h"
#include "storage/files/zip.h"
#include <stdlib.h>

#define MAX_COORDS (INT64_C(1) << 26)

struct npz_source {
    struct source base;
    int n;
    struct source **parts;  /* of an attribute (a record's fields: several) each */
    int *part_of, *attr_of; /* of this source's attributes */
};

static enum status npz_read(struct ctx *c, struct source *base, const struct box *want,
                            const int *attrs, int n, struct column *cols)
{
    struct npz_source *s = (struct npz_source *)base;
    for (int i = 0; i < n; i++) {
        struct source *part = s->parts[s->part_of[attrs[i]]];
        struct box there = *want;
        for (int d = 0; d < want->n_dims; d++) { /* parts count from 0 */
            there.lo[d] -= base->box.lo[d];
            there.hi[d] -= base->box.lo[d];
        }
        TRY(part->cls->read(c, part, &there, &s->attr_of[attrs[i]], 1, &cols[i]));
    }
    return OK;
}

static struct source_span npz_span(const struct source *base, int file)
{
    const struct source *part = ((const struct npz_source *)base)->parts[0];
    return part->cls->span(part, file);
}

static void npz_close(struct source *base)
{
    struct npz_source *s = (struct npz_source *)base;
    for (int i = 0; i < s->n; i++)
        source_close(s->parts[i]);
    free(s->parts);
    free(s);
}

static const struct source_class npz_class = {npz_read, npz_close, NULL, npz_span};

/* ---- which members ---- */

static const char *without_ending(struct ctx *c, const char *name)
{
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".npy") == 0 ? arena_strndup(c->arena, name, n - 4) : name;
}

static const char *find(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return names[i];
    return NULL;
}

static enum status no_member(struct ctx *c, const char *path, const char *name,
                             const char *const *names, int n)
{
    const char *near = nearest_name(name, names, n);
    fail(c, ERR_UNDEFINED_COLUMN, "\"%s\" has no member \"%s\"", path, name);
    return near ? hint(c, "Perhaps you meant \"%s\".", near) : ERR_UNDEFINED_COLUMN;
}

/* Those named; those that the target has attributes for; or the only one. */
static enum status choose(struct ctx *c, const char *path, const struct source_options *o,
                          const char *const *names, int n, const char **out, int *n_out)
{
    *n_out = 0;
    for (int i = 0; i < o->n_vars; i++) {
        if (!find(names, n, o->vars[i])) return no_member(c, path, o->vars[i], names, n);
        out[(*n_out)++] = o->vars[i];
    }
    for (int k = 0; o->target && o->n_vars == 0 && k < o->target->n_attrs; k++)
        if (find(names, n, o->target->attrs[k].name)) out[(*n_out)++] = o->target->attrs[k].name;
    if (*n_out == 0 && n == 1) out[(*n_out)++] = names[0];
    if (*n_out > 0) return OK;
    if (n == 0) return fail(c, ERR_BAD_COPY_FORMAT, "the archive \"%s\" is empty", path);
    struct strbuf list = STRBUF_INIT;
    for (int i = 0; i < n && list.len < 150; i++)
        strbuf_addf(&list, i ? ", %s" : "%s", names[i]);
    fail(c, ERR_INVALID_PARAMETER, "\"%s\" has %d members: say which", path, n);
    hint(c, "There are %s.", list.s);
    strbuf_release(&list);
    return ERR_INVALID_PARAMETER;
}

/* ---- opening ---- */

static enum status open_member(struct ctx *c, const struct paths *paths,
                               const struct source_options *o, const char *name,
                               struct source **out)
{
    const char *const *members;
    int n;
    struct npy_options options = {.tmp_dir = o->tmp_dir};
    options.member = arena_printf(c->arena, "%s.npy", name);
    TRY(zip_list(c, paths->v[0], &members, &n));
    if (!find(members, n, options.member)) options.member = name;
    return npy_open_as(c, paths, &options, out);
}

/* The target's dimension whose coordinates are a member of its name. */
static enum status read_coords(struct ctx *c, const struct paths *paths,
                               const struct source_options *o, const char *name, bool first,
                               struct dim *dim)
{
    struct paths one = {1, paths->v};
    struct source *s;
    struct column col;
    int attr = 0;
    TRY(open_member(c, first ? paths : &one, o, name, &s));
    int64_t n = s->box.hi[0];
    enum status st = OK;
    if (s->schema->n_dims == 1 && s->schema->n_attrs == 1 && n == axis_len(&dim->axis) &&
        n <= MAX_COORDS && n > 0) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        st = s->cls->read(c, s, &s->box, &attr, 1, &col);
        dim->name = name;
        if (st == OK && !col.valid)
            st = axis_from_coords(c, name, col.type, col.values, n, false, &dim->axis);
        scratch_release(c->scratch, mark);
    }
    source_close(s);
    return st;
}

static enum status make_schema(struct ctx *c, struct npz_source *s, const struct paths *paths,
                               const struct source_options *o, const char *const *vars,
                               const char *const *names, int n_names)
{
    const struct schema *first = s->parts[0]->schema, *t = o->target;
    int n_attrs = 0, k = 0;
    for (int i = 0; i < s->n; i++)
        n_attrs += s->parts[i]->schema->n_attrs;
    struct schema *schema;
    TRY(source_schema_new(c, paths->v[0], first->n_dims, n_attrs, &schema));
    s->part_of = arena_array(c->arena, int, n_attrs + 1);
    s->attr_of = arena_array(c->arena, int, n_attrs + 1);
    for (int i = 0; i < s->n; i++) {
        const struct schema *from = s->parts[i]->schema;
        bool same =
            from->n_dims == first->n_dims && box_equal(&s->parts[i]->box, &s->parts[0]->box);
        if (!same)
            return fail(c, ERR_AXIS_MISMATCH, "members \"%s\" and \"%s\" of \"%s\" differ in shape",
                        vars[0], vars[i], paths->v[0]);
        for (int a = 0; a < from->n_attrs; a++, k++) {
            schema->attrs[k] = from->attrs[a];
            schema->attrs[k].id = (uint16_t)(k + 1);
            if (from->n_attrs == 1)
                schema->attrs[k].name = source_fold_name(c, vars[i], strlen(vars[i]));
            s->part_of[k] = i;
            s->attr_of[k] = a;
        }
    }
    memcpy(schema->dims, first->dims, sizeof *schema->dims * (size_t)first->n_dims);
    for (int d = 0; t && !t->is_table && t->n_dims == first->n_dims && d < t->n_dims; d++)
        if (find(names, n_names, t->dims[d].name) && !find(vars, s->n, t->dims[d].name))
            TRY(read_coords(c, paths, o, t->dims[d].name, d == 0, &schema->dims[d]));
    source_unique_names(c, schema);
    s->base.schema = schema;
    schema_box(schema, &s->base.box);
    memcpy(s->base.grid, s->parts[0]->grid, sizeof s->base.grid);
    return OK;
}

enum status npz_open(struct ctx *c, const struct paths *paths, const struct source_options *o,
                     struct source **out)
{
    const char *const *members;
    int n, n_vars;
    TRY(zip_list(c, paths->v[0], &members, &n));
    const char **names = arena_array(c->arena, const char *, n + 1);
    const char **vars = arena_array(c->arena, const char *,
                                    n + o->n_vars + (o->target ? o->target->n_attrs : 0) + 1);
    for (int i = 0; i < n; i++)
        names[i] = without_ending(c, members[i]);
    TRY(choose(c, paths->v[0], o, names, n, vars, &n_vars));
    struct npz_source *s = calloc(1, sizeof *s);
    struct source **parts = calloc((size_t)n_vars, sizeof *parts);
    if (!s || !parts) {
        free(s);
        free(parts);
        return fail(c, ERR_MEMORY, "out of memory");
    }
    s->base.cls = &npz_class;
    s->parts = parts;
    enum status st = OK;
    for (int i = 0; i < n_vars && st == OK; i++) {
        st = open_member(c, paths, o, vars[i], &parts[i]);
        if (st == OK) s->n++;
    }
    if (st == OK) st = make_schema(c, s, paths, o, vars, names, n);
    if (st == OK)
        *out = &s->base;
    else
        npz_close(&s->base);
    return st;
}
