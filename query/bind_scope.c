/* What does a name mean, among the columns of the FROM items? */
#include "query/bind_internal.h"

void scope_init(struct binder *b, struct scope *s, struct plan *plan, const char *item,
                int max_cols)
{
    *s = (struct scope){.plan = plan, .n_items = 1};
    s->items = arena_array(b->c->arena, const char *, 1);
    s->items[0] = item;
    s->froms = arena_array(b->c->arena, const struct ast_from *, 1);
    s->cols = arena_array(b->c->arena, struct scope_col, max_cols + 1);
}

struct scope_col *scope_add(struct scope *s, const char *name, bool is_dim, int index,
                            enum type type)
{
    struct scope_col *col = &s->cols[s->n_cols++];
    *col = (struct scope_col){name, 0, is_dim, index, type, true, true, false, false, 0};
    return col;
}

int scope_item(const struct scope *s, const char *name)
{
    for (int i = 0; s && i < s->n_items; i++)
        if (s->items[i] && !strcmp(s->items[i], name)) return i;
    return -1;
}

static enum status ambiguous(struct binder *b, int pos, const char *name)
{
    return fail_at(b->c, ERR_AMBIGUOUS_COLUMN, pos, "column reference \"%s\" is ambiguous", name);
}

static enum status find_unqualified(struct binder *b, const struct scope *s, const char *name,
                                    int pos, const struct scope_col **out)
{
    *out = NULL;
    for (int i = 0; s && i < s->n_cols; i++) {
        const struct scope_col *col = &s->cols[i];
        if (!col->name || !col->unqualified || strcmp(col->name, name)) continue;
        if (*out) return ambiguous(b, pos, name);
        *out = col;
    }
    return OK;
}

static enum status find_in_item(struct binder *b, const struct scope *s, int item, const char *name,
                                int pos, const struct scope_col **out)
{
    *out = NULL;
    for (int i = 0; i < s->n_cols; i++) {
        const struct scope_col *col = &s->cols[i];
        if (!col->name || col->item != item || strcmp(col->name, name)) continue;
        if (*out) return ambiguous(b, pos, name);
        *out = col;
    }
    return OK;
}

static enum status unknown_column(struct binder *b, const struct scope *s, int item,
                                  const char *qualifier, const char *name, int pos)
{
    int n = 0;
    const char **names = arena_array(b->c->arena, const char *, s ? s->n_cols + 1 : 1);
    for (int i = 0; s && i < s->n_cols; i++)
        if (s->cols[i].name && (item < 0 || s->cols[i].item == item)) names[n++] = s->cols[i].name;
    const char *near = nearest_name(name, names, n);
    if (qualifier)
        fail_at(b->c, ERR_UNDEFINED_COLUMN, pos, "column %s.%s does not exist", qualifier, name);
    else
        fail_at(b->c, ERR_UNDEFINED_COLUMN, pos, "column \"%s\" does not exist", name);
    if (!near) return ERR_UNDEFINED_COLUMN;
    for (int i = 0; i < s->n_cols; i++) {
        const struct scope_col *col = &s->cols[i];
        if (!col->name || strcmp(col->name, near) || (item >= 0 && col->item != item)) continue;
        const char *of = s->items[col->item];
        return hint(b->c, "Perhaps you meant to reference the column \"%s%s%s\".", of ? of : "",
                    of ? "." : "", near);
    }
    return ERR_UNDEFINED_COLUMN;
}

static enum status unknown_item(struct binder *b, const struct scope *s, const char *name, int pos)
{
    int n = 0;
    const char **names = arena_array(b->c->arena, const char *, s ? s->n_items + 1 : 1);
    for (int i = 0; s && i < s->n_items; i++)
        if (s->items[i]) names[n++] = s->items[i];
    const char *near = nearest_name(name, names, n);
    fail_at(b->c, ERR_UNDEFINED_TABLE, pos, "missing FROM-clause entry for table \"%s\"", name);
    if (near) return hint(b->c, "Perhaps you meant to reference the table alias \"%s\".", near);
    return ERR_UNDEFINED_TABLE;
}

enum status scope_find_here(struct binder *b, const struct scope *s, const struct ast_name *name,
                            const struct scope_col **out)
{
    int pos = place(b, name->pos);
    const char *last = name->part[name->n - 1];
    if (name->n == 1) return find_unqualified(b, s, last, pos, out);
    const char *qualifier = name->part[name->n - 2];
    int item = scope_item(s, qualifier);
    *out = NULL;
    if (item < 0) return OK;
    TRY(find_in_item(b, s, item, last, pos, out));
    return *out ? OK : unknown_column(b, s, item, qualifier, last, pos);
}

enum status scope_find(struct binder *b, const struct scope *s, const struct ast_name *name,
                       const struct scope **in, const struct scope_col **out)
{
    for (const struct scope *o = s; o; o = o->outer) {
        TRY(scope_find_here(b, o, name, out));
        *in = o;
        if (*out) return OK;
    }
    int pos = place(b, name->pos);
    const char *last = name->part[name->n - 1];
    if (name->n == 1) return unknown_column(b, s, -1, NULL, last, pos);
    return unknown_item(b, s, name->part[name->n - 2], pos);
}

struct expr *scope_ref(struct binder *b, const struct scope_col *col, int pos)
{
    return expr_make_ref(b->c, col->is_dim ? E_DIM : E_COL, col->index, col->type, place(b, pos));
}

const char *scope_name_of(struct ctx *c, const struct scope *s, const struct expr *ref)
{
    const struct fetches *f = s->fetches;
    if (f && ref->kind == E_COL && ref->index >= f->first && ref->index < f->first + f->n)
        return f->v[ref->index - f->first].name;
    for (int i = 0; i < s->n_cols; i++) {
        const struct scope_col *col = &s->cols[i];
        if (!col->name || col->is_dim != (ref->kind != E_COL) || col->index != ref->index) continue;
        const char *item = s->items[col->item];
        return item ? arena_printf(c->arena, "%s.%s", item, col->name) : col->name;
    }
    return "?column?";
}
