/* How do tables look without columns that line up: unaligned and CSV? */
#include "client/print.h"
#include <stdlib.h>
#include <string.h>

static char *copy(const char *s)
{
    char *p = strdup(s);
    if (!p) abort();
    return p;
}

void print_options_init(struct print_options *o)
{
    *o = (struct print_options){.border = 1,
                                .footer = true,
                                .field_separator = copy("|"),
                                .record_separator = copy("\n"),
                                .null_text = copy(""),
                                .csv_separator = ','};
}

void print_options_release(struct print_options *o)
{
    free(o->field_separator);
    free(o->record_separator);
    free(o->null_text);
}

const char *print_cell(const struct print_options *o, const struct table *t, int64_t row, int col)
{
    const char *s = t->cell(t->self, row, col);
    return s ? s : o->null_text;
}

const char *print_color(const struct print_options *o, const struct table *t, int64_t row, int col)
{
    const char *color = o->color && t->color ? t->color(t->self, row, col) : NULL;
    return color ? color : "";
}

const char *print_color_end(const char *color)
{
    return *color ? "\033[0m" : "";
}

const char *print_footer(const struct print_options *o, const struct table *t, char *buf, size_t n)
{
    if (o->tuples_only || !o->footer) return NULL;
    if (t->footer) return t->footer[0] ? t->footer : NULL;
    snprintf(buf, n, "(%lld row%s)", (long long)t->n_rows, t->n_rows == 1 ? "" : "s");
    return buf;
}

/* ---- CSV ---- */
static void put_csv(FILE *out, char separator, const char *s)
{
    const char special[] = {separator, '"', '\r', '\n', 0};
    if (!strpbrk(s, special) && strcmp(s, "\\.") != 0) {
        fputs(s, out);
        return;
    }
    putc('"', out);
    for (; *s; s++) {
        if (*s == '"') putc('"', out);
        putc(*s, out);
    }
    putc('"', out);
}

static void csv_records(FILE *out, const struct print_options *o, const struct table *t,
                        const volatile int *stop)
{
    for (int64_t r = 0; r < t->n_rows && !*stop; r++)
        for (int i = 0; i < t->n_cols; i++) {
            put_csv(out, o->csv_separator, t->names[i]);
            putc(o->csv_separator, out);
            put_csv(out, o->csv_separator, print_cell(o, t, r, i));
            putc('\n', out);
        }
}

/* ---- unaligned ---- */
static void unaligned_records(FILE *out, const struct print_options *o, const struct table *t,
                              const volatile int *stop)
{
    char buf[64];
    bool first = true;
    if (t->title && !o->tuples_only) {
        fputs(t->title, out);
        first = false;
    }
    for (int64_t r = 0; r < t->n_rows && !*stop; r++) {
        if (r > 0) fputs(o->record_separator, out);
        for (int i = 0; i < t->n_cols; i++) {
            if (!first) fputs(o->record_separator, out);
            first = false;
            fprintf(out, "%s%s%s", t->names[i], o->field_separator, print_cell(o, t, r, i));
        }
    }
    const char *footer = t->footer ? print_footer(o, t, buf, sizeof buf) : NULL;
    if (footer) fprintf(out, "%s%s", o->record_separator, footer);
    if (!first) putc('\n', out);
}

/* ---- row by row ---- */
bool print_can_stream(const struct print_options *o)
{
    return o->format != PRINT_ALIGNED && o->expanded != EXPANDED_ON;
}

void print_rows_begin(FILE *out, const struct print_options *o, const struct table *t)
{
    if (o->tuples_only) return;
    if (o->format == PRINT_CSV) {
        for (int i = 0; i < t->n_cols; i++) {
            if (i) putc(o->csv_separator, out);
            put_csv(out, o->csv_separator, t->names[i]);
        }
        putc('\n', out);
        return;
    }
    if (t->title) fprintf(out, "%s%s", t->title, o->record_separator);
    for (int i = 0; i < t->n_cols; i++)
        fprintf(out, "%s%s", i ? o->field_separator : "", t->names[i]);
}

void print_row(FILE *out, const struct print_options *o, struct table *t, const char *const *cells)
{
    if (o->format == PRINT_UNALIGNED && (t->n_rows > 0 || !o->tuples_only))
        fputs(o->record_separator, out);
    for (int i = 0; i < t->n_cols; i++) {
        const char *s = cells[i] ? cells[i] : o->null_text;
        if (o->format == PRINT_CSV) {
            if (i) putc(o->csv_separator, out);
            put_csv(out, o->csv_separator, s);
        } else {
            if (i) fputs(o->field_separator, out);
            fputs(s, out);
        }
    }
    if (o->format == PRINT_CSV) putc('\n', out);
    t->n_rows++;
}

void print_rows_end(FILE *out, const struct print_options *o, const struct table *t)
{
    if (o->format == PRINT_CSV) return;
    char buf[64];
    const char *footer = print_footer(o, t, buf, sizeof buf);
    if (footer) fprintf(out, "%s%s", o->record_separator, footer);
    /* A separator of one's own ends the last record with a line end all the same. */
    if (!o->tuples_only || t->n_rows > 0) putc('\n', out);
}

void print_table(FILE *out, const struct print_options *o, const struct table *t,
                 const volatile int *stop)
{
    bool expanded = o->expanded == EXPANDED_ON;
    if (o->format == PRINT_ALIGNED) {
        if (expanded)
            print_records(out, o, t, stop);
        else
            print_aligned(out, o, t, stop);
        return;
    }
    if (expanded) {
        if (o->format == PRINT_CSV)
            csv_records(out, o, t, stop);
        else
            unaligned_records(out, o, t, stop);
        return;
    }
    const char **cells = calloc((size_t)t->n_cols + 1, sizeof *cells);
    if (!cells) abort();
    struct table seen = *t;
    seen.n_rows = 0;
    print_rows_begin(out, o, &seen);
    for (int64_t r = 0; r < t->n_rows && !*stop; r++) {
        for (int i = 0; i < t->n_cols; i++)
            cells[i] = t->cell(t->self, r, i);
        print_row(out, o, &seen, cells);
    }
    print_rows_end(out, o, &seen);
    free(cells);
}
