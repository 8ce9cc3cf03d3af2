/* A single typed value: literals, bounds, defaults, labels, settings, results of scalar
 * sub-queries. Columns of values are in column.h. */
#ifndef TESSERA_VALUE_H
#define TESSERA_VALUE_H
#include "storage/base/ctx.h"
#include "storage/base/strbuf.h"
#include "storage/base/types.h"

struct value {
    enum type type;
    bool null;
    union {
        int64_t i;  /* BOOLEAN (0, 1), signed integers, DATE (days), TIMESTAMP (µs since 1970) */
        uint64_t u; /* unsigned integers */
        double d;   /* REAL (holding a float exactly) and DOUBLE PRECISION */
        struct text t; /* TEXT, INT64S, UNKNOWN */
        struct interval iv;
    };
};

/* Text to value, by PostgreSQL's input rules for the type (spaces around numbers, 'infinity',
 * 't'/'yes'/'on' for booleans, ISO dates). ERR_INVALID_TEXT, ERR_OVERFLOW, ERR_DATETIME_FORMAT with
 * PostgreSQL's wording. TEXT refers to the bytes of s. */
enum status value_parse(struct ctx *c, enum type type, struct text s, struct value *out);
/* Value to text, as PostgreSQL prints it (shortest float that reads back, ISO dates, t/f). NULL
 * adds nothing. */
void value_format(const struct value *v, struct strbuf *out);
/* The same for the value at index i of a column's array. */
void value_format_at(enum type type, const void *values, int64_t i, struct strbuf *out);
/* As an SQL literal that reads back: 'quoted' where needed, NULL. */
void value_literal(const struct value *v, struct strbuf *out);
/* Value of a column's array at index i, and back. The array's type is the value's. */
struct value value_get(enum type type, const void *values, int64_t i);
void value_put(const struct value *v, void *values, int64_t i);
/* Order of two non-NULL values of one type: <0, 0, >0; NaN after all numbers and equal to itself;
 * text bytewise. */
int value_compare(const struct value *a, const struct value *b);
/* Numeric, boolean, date and timestamp conversion with range check (ERR_OVERFLOW); floats to
 * integers round half to even; from T_UNKNOWN or TEXT by parsing; to TEXT by formatting into the
 * arena. ERR_CANNOT_COERCE when there is no such cast. */
enum status value_cast(struct ctx *c, const struct value *v, enum type to, struct value *out);
/* Plain decimal text to the correctly rounded double when that takes one operation (at most 19
 * digits, mantissa below 2^53, exponent within 22); false: ask value_parse, it may still be one. */
bool value_fast_double(const char *s, size_t n, double *out);
struct value value_dup(struct arena *a, const struct value *v); /* with text copied */
struct value value_null(enum type t);
struct value value_int(enum type t, int64_t i);
struct value value_double(double d);
struct value value_text(const char *s);

#endif
