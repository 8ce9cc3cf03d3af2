/* How do columns line up under their names, and fit the terminal? */
#include "client/style.h"
#include "client/width.h"
#include <stdlib.h>
#include <string.h>

const struct style print_styles[2] = {
    [STYLE_ASCII] = {"-", "|", {"+", "+", "+"}, {"+", "+", "+"}, {"+", "+", "+"}, "+", ".", "..."},
    [STYLE_UNICODE] = {"─", "│", {"┌", "├", "└"}, {"┬", "┼", "┴"}, {"┐", "┤", "┘"}, "↵", "…", "…"},
};

enum { WIDTH_MIN = 8 };

/* A table being laid out: the columns that are shown, and how wide each is. */
struct layout {
    FILE *out;
    const struct print_options *o;
    const struct table *t;
    const struct style *style;
    int n;      /* columns shown */
    int *col;   /* which; -1: stands for those left out */
    int *width; /* by column shown */
    struct lines *cell;
};

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

static void *array(int n, size_t bytes)
{
    void *p = calloc((size_t)n + 1, bytes);
    if (!p) abort();
    return p;
}

/* ---- widths ---- */
static void measure(struct layout *l, const volatile int *stop)
{
    struct lines cell = LINES_INIT;
    const struct table *t = l->t;
    for (int i = 0; i < l->n; i++) {
        lines_set(&cell, t->names[i], 0);
        l->width[i] = lines_width(&cell);
        for (int64_t r = 0; r < t->n_rows && !*stop; r++) {
            lines_set(&cell, print_cell(l->o, t, r, i), 0);
            l->width[i] = max_int(l->width[i], lines_width(&cell));
        }
    }
    lines_release(&cell);
}

static int total_width(const struct layout *l)
{
    int gap = l->o->border == 0 ? 1 : 3,
        total = l->o->border == 2 ? 4 - gap : l->o->border - gap + 1;
    for (int i = 0; i < l->n; i++)
        total += l->width[i] + gap;
    return total;
}

/* Takes what is too much from the widest columns of text, none below WIDTH_MIN. */
static void narrow_texts(struct layout *l, int too_much)
{
    while (too_much > 0) {
        int widest = -1, second = WIDTH_MIN, same = 0;
        for (int i = 0; i < l->n; i++)
            if (l->t->align[i] == 'l' && l->width[i] > WIDTH_MIN &&
                (widest < 0 || l->width[i] > l->width[widest]))
                widest = i;
        if (widest < 0) return;
        int top = l->width[widest];
        for (int i = 0; i < l->n; i++)
            if (l->t->align[i] == 'l') {
                if (l->width[i] == top)
                    same++;
                else
                    second = max_int(second, l->width[i]);
            }
        int take = (too_much + same - 1) / same;
        if (take > top - second) take = top - second;
        for (int i = 0; i < l->n; i++)
            if (l->t->align[i] == 'l' && l->width[i] == top) {
                l->width[i] -= take;
                too_much -= take;
            }
    }
}

/* Leaves out columns in the middle, the first and the last ones stay; one stands for them. */
static void leave_out(struct layout *l, int limit)
{
    int *width = array(l->n, sizeof *width), n = l->n, left = 0, right = 0;
    memcpy(width, l->width, (size_t)n * sizeof *width);
    struct layout tried = *l;
    tried.n = 1;
    tried.width = array(n + 1, sizeof *tried.width);
    tried.width[0] = 1;
    while (left + right < n - 1) {
        int next = left <= right ? left : n - 1 - right;
        tried.width[tried.n++] = width[next];
        if (total_width(&tried) > limit && left > 0) break;
        if (left <= right)
            left++;
        else
            right++;
    }
    l->n = 0;
    for (int i = 0; i < n; i++) {
        bool shown = i < left || i >= n - right;
        if (!shown && l->n > left) continue;
        l->col[l->n] = shown ? i : -1;
        l->width[l->n++] = shown ? width[i] : 1;
    }
    free(tried.width);
    free(width);
}

static void fit(struct layout *l)
{
    int limit = l->o->fit_columns;
    if (limit <= 0 || total_width(l) <= limit) return;
    narrow_texts(l, total_width(l) - limit);
    if (total_width(l) > limit) leave_out(l, limit);
    /* One column alone that is still too wide: its lines are continued. */
    for (int i = 0; i < l->n && total_width(l) > limit; i++)
        l->width[i] = max_int(1, l->width[i] - (total_width(l) - limit));
}

/* ---- lines ---- */
static void repeat(FILE *out, const char *s, int n)
{
    while (n-- > 0)
        fputs(s, out);
}

static void rule(const struct layout *l, enum rule_place place)
{
    const struct style *s = l->style;
    int border = l->o->border;
    if (border == 2) fprintf(l->out, "%s%s", s->left[place], s->horizontal);
    if (border == 1) fputs(s->horizontal, l->out);
    for (int i = 0; i < l->n; i++) {
        repeat(l->out, s->horizontal, l->width[i]);
        if (i == l->n - 1) break;
        if (border == 0)
            putc(' ', l->out);
        else
            fprintf(l->out, "%s%s%s", s->horizontal, s->cross[place], s->horizontal);
    }
    if (border == 2) fprintf(l->out, "%s%s", s->horizontal, s->right[place]);
    if (border == 1) fputs(s->horizontal, l->out);
    putc('\n', l->out);
}

static const char *line_text(const struct lines *c, int k)
{
    return c->text.s ? c->text.s + c->v[k].at : "";
}

static void names(struct layout *l)
{
    int lines = 0, border = l->o->border;
    for (int i = 0; i < l->n; i++) {
        const char *name = l->col[i] < 0 ? l->style->more : l->t->names[l->col[i]];
        lines_set(&l->cell[i], name, l->width[i]);
        lines = max_int(lines, l->cell[i].n);
    }
    for (int k = 0; k < lines; k++) {
        if (border == 2) fputs(l->style->vertical, l->out);
        for (int i = 0; i < l->n; i++) {
            const struct lines *c = &l->cell[i];
            bool more = k + 1 < c->n;
            if (border > 0) putc(' ', l->out);
            int space = l->width[i] - (k < c->n ? c->v[k].width : l->width[i]);
            if (k < c->n)
                fprintf(l->out, "%*s%.*s%*s", space / 2, "", (int)c->v[k].len, line_text(c, k),
                        (space + 1) / 2, "");
            else
                fprintf(l->out, "%*s", l->width[i], "");
            fputs(more && !c->v[k].wraps ? l->style->newline : " ", l->out);
            if (border > 0 && i < l->n - 1) fputs(l->style->vertical, l->out);
        }
        if (border == 2) fputs(l->style->vertical, l->out);
        putc('\n', l->out);
    }
}

static void row_line(const struct layout *l, int64_t row, int k)
{
    int border = l->o->border;
    if (border == 2) fputs(l->style->vertical, l->out);
    for (int i = 0; i < l->n; i++) {
        const struct lines *c = &l->cell[i];
        bool last = i == l->n - 1, more = k + 1 < c->n;
        const char *mark = !more ? " " : c->v[k].wraps ? l->style->wrap : l->style->newline;
        int width = k < c->n ? c->v[k].width : 0, len = k < c->n ? (int)c->v[k].len : 0;
        const char *text = k < c->n ? line_text(c, k) : "";
        int space = l->width[i] - width;
        bool right = k < c->n && l->col[i] >= 0 && l->t->align[l->col[i]] == 'r';
        if (border > 0) putc(' ', l->out);
        if (right) fprintf(l->out, "%*s", space, "");
        const char *color = l->col[i] < 0 ? "" : print_color(l->o, l->t, row, l->col[i]);
        fprintf(l->out, "%s%.*s%s", color, len, text, print_color_end(color));
        if (!right && (border == 2 || !last || more)) fprintf(l->out, "%*s", space, "");
        if (more || border == 2 || !last) fputs(mark, l->out);
        if (border > 0 && !last) fputs(l->style->vertical, l->out);
    }
    if (border == 2) fputs(l->style->vertical, l->out);
    putc('\n', l->out);
}

static void row(struct layout *l, int64_t r)
{
    int lines = 1;
    for (int i = 0; i < l->n; i++) {
        const char *text = l->col[i] < 0 ? l->style->more : print_cell(l->o, l->t, r, l->col[i]);
        lines_set(&l->cell[i], text, l->o->fit_columns ? l->width[i] : 0);
        lines = max_int(lines, l->cell[i].n);
    }
    for (int k = 0; k < lines; k++)
        row_line(l, r, k);
}

static void footer(const struct layout *l)
{
    char buf[64];
    const char *text = print_footer(l->o, l->t, buf, sizeof buf);
    int left_out = l->t->n_cols;
    for (int i = 0; i < l->n; i++)
        if (l->col[i] >= 0) left_out--;
    if (text && left_out > 0)
        fprintf(l->out, "%s, %d of %d columns; \\x shows all\n", text, l->t->n_cols - left_out,
                l->t->n_cols);
    else if (text)
        fprintf(l->out, "%s\n", text);
    putc('\n', l->out);
}

void print_aligned(FILE *out, const struct print_options *o, const struct table *t,
                   const volatile int *stop)
{
    struct layout l = {
        .out = out, .o = o, .t = t, .style = &print_styles[o->style], .n = t->n_cols};
    l.col = array(l.n, sizeof *l.col);
    l.width = array(l.n, sizeof *l.width);
    l.cell = array(l.n, sizeof *l.cell);
    for (int i = 0; i < l.n; i++)
        l.col[i] = i;
    measure(&l, stop);
    if (o->expanded == EXPANDED_AUTO && o->fit_columns && total_width(&l) > o->fit_columns) {
        print_records(out, o, t, stop);
    } else {
        fit(&l);
        int width = total_width(&l);
        if (t->title && !o->tuples_only) {
            struct lines title = LINES_INIT;
            lines_set(&title, t->title, 0);
            int space = width - lines_width(&title);
            fprintf(out, "%*s%s\n", space > 0 ? space / 2 : 0, "", t->title);
            lines_release(&title);
        }
        if (o->border == 2) rule(&l, RULE_TOP);
        if (!o->tuples_only) {
            names(&l);
            rule(&l, RULE_MIDDLE);
        }
        for (int64_t r = 0; r < t->n_rows && t->n_cols && !*stop; r++)
            row(&l, r);
        if (o->border == 2) rule(&l, RULE_BOTTOM);
        footer(&l);
    }
    for (int i = 0; i < t->n_cols; i++)
        lines_release(&l.cell[i]);
    free(l.cell);
    free(l.width);
    free(l.col);
}
