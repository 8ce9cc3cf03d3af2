/* The type of a CSV column, guessed from texts: the first of boolean, bigint, double precision,
 * date, timestamp that all of them are, else text. */
#ifndef TESSERA_CSV_INFER_H
#define TESSERA_CSV_INFER_H
#include "storage/base/column.h"

struct csv_guess {
    bool some;       /* a value that is not NULL */
    unsigned failed; /* bit per candidate */
};

/* n texts of a column. Start from a zeroed guess. */
void csv_guess_add(struct csv_guess *g, const struct column *texts, int64_t n);
enum type csv_guess_type(const struct csv_guess *g);

#endif
