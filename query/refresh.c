/* How is a materialized array brought up to date? As a whole, or in those boxes that changes of its
 * sources reach.
 *
 * Which boxes: the plan is narrowed to a box of the result, as a slice of it would be; the regions
 * that its scans then have are what the box is made from. If no changed tile and nothing that an
 * axis has grown by lies in them, the box stays as it is; else it is halved, down to tiles of the
 * array. The same narrowed plan computes a box that is reached, and its tiles are replaced by what
 * comes out. As a query's values do not depend on how it is cut into boxes, the result is that of a
 * whole refresh, to the bit. */
#include "query/materialized.h"
#include "query/rewrite_internal.h"
#include "query/write.h"
#include <string.h>

/* ---- a plan for a box ---- */

/* The box of the result's positions that a box of the array's is: those count its cells. */
static void result_box(const struct query *q, const struct box *box, struct box *out)
{
    out->n_dims = box->n_dims;
    int at = 0;
    for (int k = 0; k < q->n_outs; k++) {
        if (!q->outs[k].is_dim) continue;
        int d = q->outs[k].index;
        const struct rel_dim *dim = &q->root->rel.dims[d];
        out->lo[d] = dim->lo + box->lo[at] * dim->stride;
        out->hi[d] = dim->lo + (box->hi[at] - 1) * dim->stride + 1;
        at++;
    }
}

static struct plan *narrowed(struct ctx *c, const struct refresh *rf, const struct box *want)
{
    struct env env = {.statement_us = rf->q.statement_us};
    struct plan *p = plan_copy(c, rf->q.root, NULL);
    narrow_to(c, p, want, &env);
    return p;
}

/* ---- which boxes ---- */

static const struct source *source_of(const struct refresh *rf, const struct array *a)
{
    for (int i = 0; i < rf->sources.n; i++)
        if (rf->sources.list[i].array == a) return &rf->sources.list[i];
    return NULL;
}

static bool scan_meets(const struct refresh *rf, const struct plan *scan)
{
    const struct source *s = source_of(rf, scan->array);
    struct box box;
    rel_box(&scan->rel, &box);
    if (box_empty(&box)) return false;
    for (int d = 0; d < box.n_dims && s->grown; d++)
        if (box.hi[d] > s->hi[d]) return true;
    return changes_meet(s->tiles, &box);
}

static bool plan_meets(const struct refresh *rf, const struct plan *p)
{
    if (p->kind == P_SCAN) return scan_meets(rf, p);
    for (int i = 0; i < p->n_in; i++)
        if (plan_meets(rf, p->in[i])) return true;
    return false;
}

static double scanned_cells(const struct plan *p)
{
    struct box box;
    double cells = 0;
    if (p->kind == P_SCAN) {
        rel_box(&p->rel, &box);
        cells = box_empty(&box) ? 0 : (double)box_cells(&box);
    }
    for (int i = 0; i < p->n_in; i++)
        cells += scanned_cells(p->in[i]);
    return cells;
}

struct search {
    struct ctx *c;
    struct refresh *rf;
    const struct schema *now; /* the array's, as it is */
    int64_t tile[MAX_DIMS];
};

/* Tiles to the positions that they have of the result's shape. */
static void positions_of(const struct search *s, const struct box *tiles, struct box *out)
{
    out->n_dims = tiles->n_dims;
    for (int d = 0; d < tiles->n_dims; d++) {
        const struct axis *a = &s->rf->shape.dims[d].axis;
        out->lo[d] = tiles->lo[d] * s->tile[d];
        out->hi[d] = tiles->hi[d] * s->tile[d];
        if (out->lo[d] < a->lo) out->lo[d] = a->lo;
        if (out->hi[d] > a->hi) out->hi[d] = a->hi;
    }
}

static enum status is_reached(struct search *s, const struct box *box, bool *reached)
{
    for (int d = 0; d < box->n_dims; d++)
        if (box->hi[d] > s->now->dims[d].axis.hi) { /* it is new itself */
            *reached = true;
            return OK;
        }
    TRY(check_cancel(s->c));
    struct ctx c = *s->c;
    struct box want;
    c.arena = arena_new();
    result_box(&s->rf->q, box, &want);
    *reached = plan_meets(s->rf, narrowed(&c, s->rf, &want));
    arena_free(c.arena);
    return OK;
}

static void take(struct search *s, const struct box *box)
{
    struct refresh *rf = s->rf;
    rf->boxes = arena_room(s->c->arena, rf->boxes, rf->n_boxes, sizeof *rf->boxes);
    rf->boxes[rf->n_boxes++] = *box;
}

/* Takes the boxes of tiles that are reached, unless all are: that is for the caller to take. */
static enum status look_into(struct search *s, const struct box *tiles, bool *all)
{
    struct box box, half[2] = {*tiles, *tiles};
    bool reached, whole[2];
    positions_of(s, tiles, &box);
    TRY(is_reached(s, &box, &reached));
    *all = reached && box_cells(tiles) == 1;
    if (*all) s->rf->n_touched++;
    if (!reached || *all) return OK;
    int longest = 0;
    for (int d = 1; d < tiles->n_dims; d++)
        if (box_extent(tiles, d) > box_extent(tiles, longest)) longest = d;
    half[0].hi[longest] = half[1].lo[longest] = tiles->lo[longest] + box_extent(tiles, longest) / 2;
    for (int i = 0; i < 2; i++)
        TRY(look_into(s, &half[i], &whole[i]));
    *all = whole[0] && whole[1];
    for (int i = 0; i < 2 && !*all; i++) {
        if (!whole[i]) continue;
        positions_of(s, &half[i], &box);
        take(s, &box);
    }
    return OK;
}

/* Cells that scans would read for a box of the array's positions. */
static double cells_under(struct ctx *outer, const struct refresh *rf, const struct box *box)
{
    struct ctx c = *outer;
    struct box want;
    c.arena = arena_new();
    result_box(&rf->q, box, &want);
    double cells = scanned_cells(narrowed(&c, rf, &want));
    arena_free(c.arena);
    return cells;
}

/* Boxes that read the same again and again (an average over what all of them have, say) are better
 * one that holds them all. */
static void join_boxes(struct ctx *c, struct refresh *rf)
{
    double sum = 0;
    struct box hull;
    for (int64_t i = 0; i < rf->n_boxes; i++) {
        sum += cells_under(c, rf, &rf->boxes[i]);
        if (i == 0) hull = rf->boxes[0];
        box_hull(&hull, &rf->boxes[i], &hull);
    }
    if (rf->n_boxes < 2 || cells_under(c, rf, &hull) > sum) return;
    rf->boxes[0] = hull;
    rf->n_boxes = 1;
}

static enum status find_boxes(struct ctx *c, struct refresh *rf, const struct schema *now)
{
    struct search s = {.c = c, .rf = rf, .now = now};
    struct box shape, tiles, box;
    bool all;
    schema_box(&rf->shape, &shape);
    schema_tile_extents(now, s.tile);
    box_tiles(&shape, s.tile, &tiles);
    rf->n_tiles = box_empty(&shape) ? 0 : box_cells(&tiles);
    if (!rf->n_tiles) return OK;
    TRY(look_into(&s, &tiles, &all));
    if (all) {
        positions_of(&s, &tiles, &box);
        take(&s, &box);
    }
    join_boxes(c, rf);
    return OK;
}

/* ---- what the result must be ---- */

static enum status lacks(struct ctx *c, const struct schema *m, const char *column, enum type t)
{
    fail(c, ERR_INVALID_DEFINITION,
         "the query of materialized array \"%s\" no longer gives %s of type %s", m->name, column,
         type_name(t));
    return hint(c, "CREATE OR REPLACE MATERIALIZED ARRAY makes it anew.");
}

/* Everything that the array has must be there; more is left out. */
static enum status check_shape(struct ctx *c, const struct schema *m, const struct schema *shape)
{
    for (int d = 0; d < m->n_dims; d++) {
        enum type t = m->dims[d].axis.type;
        if (d >= shape->n_dims || shape->n_dims != m->n_dims ||
            strcmp(m->dims[d].name, shape->dims[d].name) != 0 || shape->dims[d].axis.type != t)
            return lacks(c, m, arena_printf(c->arena, "dimension \"%s\"", m->dims[d].name), t);
    }
    for (int k = 0; k < m->n_attrs; k++) {
        int at = schema_attr(shape, m->attrs[k].name);
        if (at < 0 || shape->attrs[at].type != m->attrs[k].type)
            return lacks(c, m, arena_printf(c->arena, "column \"%s\"", m->attrs[k].name),
                         m->attrs[k].type);
    }
    return OK;
}

/* ---- planning ---- */

static bool begins_as(const struct schema *now, const struct schema *shape)
{
    for (int d = 0; d < now->n_dims; d++)
        if (!axis_extends(&now->dims[d].axis, &shape->dims[d].axis)) return false;
    return true;
}

static enum status compare(struct ctx *c, struct refresh *rf)
{
    const struct schema *now = array_schema(rf->m->array);
    const char *seen;
    bool grown = false;
    if (!rf->m->incremental) {
        rf->why = "it is not INCREMENTAL";
        return OK;
    }
    TRY(array_object(c, rf->s->txn, OBJECT_SEEN, now, &seen));
    TRY(sources_recall(c, rf->s, rf->m, &rf->sources, seen, &rf->why));
    if (rf->why) return OK;
    TRY(bind_schema_of(c, now->name, &rf->q, &rf->shape));
    TRY(check_shape(c, now, &rf->shape));
    for (int i = 0; i < rf->sources.n; i++)
        grown = grown || rf->sources.list[i].grown;
    if (!begins_as(now, &rf->shape))
        rf->why = "the axes of its result do not begin as they did";
    else if (grown && rf->counts)
        rf->why = "axes have grown, and it counts positions";
    return rf->why ? OK : find_boxes(c, rf, now);
}

/* Its definition bound; *env says what the binder found. */
static enum status bind_definition(struct ctx *c, struct session *s, struct materialized *m,
                                   struct refresh *out, struct bind_env *env)
{
    *out = (struct refresh){.s = s, .m = m, .run = {.s = s, .stmt = m->def, .text = m->text}};
    *env = session_bind_env(&out->run);
    env->stored = true;
    TRY(bind_select(c, env, m->def->select, &out->q));
    TRY(query_sources(c, &out->q, &out->sources));
    if (!source_of(out, m->array)) return OK;
    return fail(c, ERR_INVALID_DEFINITION, "materialized array \"%s\" depends on itself",
                array_schema(m->array)->name);
}

enum status refresh_check(struct ctx *c, struct session *s, struct materialized *m,
                          struct refresh *out)
{
    struct bind_env env;
    TRY(bind_definition(c, s, m, out, &env));
    TRY(bind_schema_of(c, array_schema(m->array)->name, &out->q, &out->shape));
    return check_shape(c, array_schema(m->array), &out->shape);
}

enum status refresh_plan(struct ctx *c, struct session *s, struct materialized *m,
                         struct refresh *out)
{
    struct bind_env env;
    TRY(bind_definition(c, s, m, out, &env));
    out->counts = counts_positions(&env, &out->q);
    TRY(plan_rewrite(c, &out->q, !s->settings.optimizer.n));
    return compare(c, out);
}

/* ---- running ---- */

/* The outputs that the array has, in its order. */
static void order_outputs(struct ctx *c, const struct query *q, const struct schema *m,
                          struct query *out, struct write_job *j)
{
    struct out_col *outs = arena_array(c->arena, struct out_col, m->n_dims + m->n_attrs + 1);
    int *attrs = arena_array(c->arena, int, m->n_attrs + 1), n = 0;
    for (int i = 0; i < q->n_outs; i++)
        if (q->outs[i].is_dim) outs[n++] = q->outs[i];
    for (int k = 0; k < m->n_attrs; k++)
        for (int i = 0; i < q->n_outs; i++)
            if (!q->outs[i].is_dim && !strcmp(q->outs[i].name, m->attrs[k].name)) {
                attrs[k] = k;
                outs[n++] = q->outs[i];
                break;
            }
    *out = *q;
    out->outs = outs;
    out->n_outs = n;
    *j = (struct write_job){.query = out,
                            .target = m->name,
                            .mode = CONFLICT_RENEW,
                            .attrs = attrs,
                            .n_attrs = m->n_attrs,
                            .numbered = m->is_table};
}

/* The cells of one box, or of all (NULL). */
static enum status write_box(struct ctx *c, const struct refresh *rf, const struct write_job *job,
                             struct writer *w, const struct box *box, int64_t *n_cells)
{
    struct query q = *job->query;
    struct write_job j = *job;
    struct exec *x = NULL;
    struct box want;
    struct arena *outer = c->arena;
    c->arena = arena_new(); /* of one box: there may be many */
    result_box(&rf->q, box, &want);
    q.root = narrowed(c, rf, &want);
    j.query = &q;
    enum status st = exec_open(c, &q, NULL, 0, rf->s->txn, &x);
    if (st == OK && box_intersect(&want, &exec_root(x)->box, &want))
        st = write_part(c, x, &j, w, &want, n_cells);
    exec_close(x);
    arena_free(c->arena);
    c->arena = outer;
    return st;
}

static enum status write_boxes(struct ctx *c, const struct refresh *rf, int64_t *n_cells)
{
    const struct schema *m = array_schema(rf->m->array);
    struct write_job j;
    struct query q;
    struct writer *w;
    if (!rf->n_boxes) return OK;
    order_outputs(c, &rf->q, m, &q, &j);
    TRY(array_set_axes(c, rf->s->txn, m->name, &rf->shape));
    TRY(writer_open(c, rf->s->txn, m->name, CONFLICT_RENEW, j.attrs, j.n_attrs, &w));
    enum status st = OK;
    for (int64_t i = 0; st == OK && i < rf->n_boxes; i++)
        st = write_box(c, rf, &j, w, &rf->boxes[i], n_cells);
    for (int64_t i = 0; st == OK && i < rf->n_boxes; i++)
        st = writer_clear_rest(c, w, &rf->boxes[i]);
    if (st == OK) st = writer_finish(c, w);
    writer_free(w);
    return st;
}

/* The query is opened first: some axes are known only then. */
static enum status write_opened(struct ctx *c, const struct refresh *rf, struct exec *x,
                                int64_t *n_cells)
{
    const struct schema *m = array_schema(rf->m->array);
    struct schema shape;
    struct write_job j;
    struct query q;
    struct writer *w;
    TRY(bind_schema_of(c, m->name, &rf->q, &shape));
    TRY(check_shape(c, m, &shape));
    order_outputs(c, &rf->q, m, &q, &j);
    TRY(array_set_axes(c, rf->s->txn, m->name, &shape));
    TRY(writer_open(c, rf->s->txn, m->name, CONFLICT_RENEW, j.attrs, j.n_attrs, &w));
    enum status st = write_part(c, x, &j, w, NULL, n_cells);
    if (st == OK) st = writer_clear_rest(c, w, NULL);
    if (st == OK) st = writer_finish(c, w);
    writer_free(w);
    return st;
}

static enum status write_whole(struct ctx *c, const struct refresh *rf, int64_t *n_cells)
{
    struct exec *x = NULL;
    enum status st = exec_open(c, &rf->q, NULL, 0, rf->s->txn, &x);
    if (st == OK) st = write_opened(c, rf, x, n_cells);
    exec_close(x);
    return st;
}

enum status refresh_run(struct ctx *c, struct refresh *rf, int64_t *n_cells)
{
    const struct schema *m = array_schema(rf->m->array);
    const char *seen;
    *n_cells = 0;
    TRY(rf->why ? write_whole(c, rf, n_cells) : write_boxes(c, rf, n_cells));
    TRY(sources_remember(c, rf->s, rf->m, &rf->sources, &seen));
    return array_set_object(c, rf->s->txn, OBJECT_SEEN, m, seen);
}
