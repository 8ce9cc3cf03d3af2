/* How does a row look with one column below the other (\x)? */
#include "client/style.h"
#include "client/width.h"
#include <stdlib.h>

struct records {
    FILE *out;
    const struct print_options *o;
    const struct table *t;
    const struct style *style;
    int names, values; /* widths */
    bool split;        /* a value has more than one line */
};

static int digits(int64_t n)
{
    int d = 1;
    for (; n >= 10; n /= 10)
        d++;
    return d;
}

static void measure(struct records *r, const volatile int *stop)
{
    struct lines cell = LINES_INIT;
    bool split_name = false;
    for (int i = 0; i < r->t->n_cols; i++) {
        lines_set(&cell, r->t->names[i], 0);
        if (lines_width(&cell) > r->names) r->names = lines_width(&cell);
        split_name = split_name || cell.n > 1;
        for (int64_t k = 0; k < r->t->n_rows && !*stop; k++) {
            lines_set(&cell, print_cell(r->o, r->t, k, i), 0);
            if (lines_width(&cell) > r->values) r->values = lines_width(&cell);
            r->split = r->split || cell.n > 1;
        }
    }
    lines_release(&cell);
    /* The values' column is at least as wide as what the line above a record leaves. */
    int border = r->o->border;
    int between = border == 0 ? 1 + split_name : border == 1 ? 3 : 7;
    if (border < 2 && r->split) between++;
    int head = digits(r->t->n_rows) + (border == 0 ? 9 : border == 1 ? 12 : 15);
    if (r->o->tuples_only) head = 0;
    int fit = r->o->fit_columns;
    if (fit > 0 && r->names + between + r->values > fit) {
        r->values = fit - r->names - between;
        if (r->values < 10) r->values = 10;
    }
    if (r->values < head - r->names - between) r->values = head - r->names - between;
}

static void repeat(FILE *out, const char *s, int n)
{
    while (n-- > 0)
        fputs(s, out);
}

/* A rule over both columns; the record's number stands in it, 0: none. */
static void rule(const struct records *r, int64_t record, enum rule_place place)
{
    const struct style *s = r->style;
    int border = r->o->border, used = 0;
    const char *line = border > 0 ? s->horizontal : " ";
    if (border == 2) fprintf(r->out, "%s%s", s->left[place], s->horizontal);
    if (border == 1) fputs(s->horizontal, r->out);
    if (record && border == 0)
        used = fprintf(r->out, "* Record %lld", (long long)record);
    else if (record)
        used = fprintf(r->out, "[ RECORD %lld ]", (long long)record);
    if (border != 2) used++;
    repeat(r->out, line, r->names - used);
    used -= r->names;
    if (border > 0) {
        if (used-- <= 0) fputs(s->horizontal, r->out);
        if (used-- <= 0) fputs(s->cross[place], r->out);
        if (used-- <= 0) fputs(s->horizontal, r->out);
    } else if (used-- <= 0) {
        putc(' ', r->out);
    }
    repeat(r->out, line, r->values - (used > 0 ? used : 0));
    if (border == 2) fprintf(r->out, "%s%s", s->horizontal, s->right[place]);
    putc('\n', r->out);
}

static void field(const struct records *r, struct lines *name, struct lines *value,
                  const char *color)
{
    const struct style *s = r->style;
    int border = r->o->border, n = name->n > value->n ? name->n : value->n;
    for (int k = 0; k < n; k++) {
        const struct line *left = k < name->n ? &name->v[k] : NULL;
        const struct line *right = k < value->n ? &value->v[k] : NULL;
        if (border == 2) fprintf(r->out, "%s ", s->vertical);
        if (left)
            fprintf(r->out, "%.*s", (int)left->len, name->text.s ? name->text.s + left->at : "");
        fprintf(r->out, "%*s", r->names - (left ? left->width : 0), "");
        if (border > 0 || k + 1 < name->n || right)
            fputs(k + 1 < name->n ? s->newline : " ", r->out);
        if (border > 0) fprintf(r->out, "%s%s", s->vertical, right || border == 2 ? " " : "");
        bool more = right && k + 1 < value->n;
        if (right)
            fprintf(r->out, "%s%.*s%s", color, (int)right->len,
                    value->text.s ? value->text.s + right->at : "", print_color_end(color));
        if (more || border == 2)
            fprintf(r->out, "%*s%s", r->values - (right ? right->width : 0), "",
                    !more          ? " "
                    : right->wraps ? s->wrap
                                   : s->newline);
        if (border == 2) fputs(s->vertical, r->out);
        putc('\n', r->out);
    }
}

void print_records(FILE *out, const struct print_options *o, const struct table *t,
                   const volatile int *stop)
{
    char buf[64];
    struct records r = {.out = out, .o = o, .t = t, .style = &print_styles[o->style]};
    struct lines name = LINES_INIT, value = LINES_INIT;
    if (t->n_rows == 0) {
        const char *footer = print_footer(o, t, buf, sizeof buf);
        if (footer) fprintf(out, "%s\n", footer);
        putc('\n', out);
        return;
    }
    measure(&r, stop);
    if (t->title && !o->tuples_only) fprintf(out, "%s\n", t->title);
    for (int64_t k = 0; k < t->n_rows && !*stop; k++) {
        enum rule_place place = k ? RULE_MIDDLE : RULE_TOP;
        if (!o->tuples_only)
            rule(&r, k + 1, place);
        else if (k || o->border == 2)
            rule(&r, 0, place);
        for (int i = 0; i < t->n_cols; i++) {
            lines_set(&name, t->names[i], 0);
            lines_set(&value, print_cell(o, t, k, i), o->fit_columns ? r.values : 0);
            field(&r, &name, &value, print_color(o, t, k, i));
        }
    }
    if (o->border == 2) rule(&r, 0, RULE_BOTTOM);
    if (t->footer && t->footer[0] && !o->tuples_only) fprintf(out, "%s\n", t->footer);
    putc('\n', out);
    lines_release(&name);
    lines_release(&value);
}
