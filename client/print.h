/* Tables of text as psql prints them, and as boxes that fit the terminal. Without the latter, the
 * output is psql's to the byte, so that scripts which read it go on working. */
#ifndef TESSERA_CLIENT_PRINT_H
#define TESSERA_CLIENT_PRINT_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum print_format { PRINT_ALIGNED, PRINT_UNALIGNED, PRINT_CSV };
enum print_expanded { EXPANDED_OFF, EXPANDED_ON, EXPANDED_AUTO };
enum print_style { STYLE_ASCII, STYLE_UNICODE };

struct print_options {
    enum print_format format;
    enum print_expanded expanded;
    enum print_style style;
    int border;       /* 0, 1, 2 */
    bool tuples_only; /* rows and nothing else */
    bool footer;      /* "(3 rows)" */
    int fit_columns;  /* make aligned tables this wide at most; 0: as wide as they are */
    bool color;       /* the output is a terminal that takes it */
    char *field_separator, *record_separator, *null_text; /* malloc'ed */
    char csv_separator;
};

struct table {
    const char *title; /* may be NULL */
    int n_cols;
    const char *const *names;
    const char *align; /* a character a column, 'l' or 'r' */
    int64_t n_rows;
    /* Text of a cell; NULL: SQL's NULL. Valid until the next call. */
    const char *(*cell)(void *self, int64_t row, int col);
    /* The escape sequence that a cell is printed in; NULL: none. May be NULL. */
    const char *(*color)(void *self, int64_t row, int col);
    void *self;
    const char *footer; /* instead of the number of rows; may be NULL */
};

void print_options_init(struct print_options *o);
void print_options_release(struct print_options *o);
/* Stops between rows once *stop is set (by a signal handler). */
void print_table(FILE *out, const struct print_options *o, const struct table *t,
                 const volatile int *stop);

/* Row by row, for results too large to keep: formats unaligned and CSV, not expanded. The table's
 * n_rows counts up; print_rows_end() prints the footer. */
bool print_can_stream(const struct print_options *o);
void print_rows_begin(FILE *out, const struct print_options *o, const struct table *t);
void print_row(FILE *out, const struct print_options *o, struct table *t, const char *const *cells);
void print_rows_end(FILE *out, const struct print_options *o, const struct table *t);

/* print_box.c: print_table()'s aligned part. */
void print_aligned(FILE *out, const struct print_options *o, const struct table *t,
                   const volatile int *stop);
/* print_records.c: one column below the other, a block a row. */
void print_records(FILE *out, const struct print_options *o, const struct table *t,
                   const volatile int *stop);
/* What stands below a table: its own footer or the number of rows, NULL when neither is wanted. */
const char *print_footer(const struct print_options *o, const struct table *t, char *buf, size_t n);
/* What goes before a cell's text, and after it; "" when it has no colour. */
const char *print_color(const struct print_options *o, const struct table *t, int64_t row, int col);
const char *print_color_end(const char *color);
const char *print_cell(const struct print_options *o, const struct table *t, int64_t row, int col);

#endif
