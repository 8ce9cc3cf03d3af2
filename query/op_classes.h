/* The operator classes: one for each kind of plan node, defined in the file named beside it and
 * found by op_class_of(). Only exec.c and the operators' own files include this. */
#ifndef TESSERA_OP_CLASSES_H
#define TESSERA_OP_CLASSES_H
#include "query/op.h"

/*      plan node    class         file */
#define OP_CLASS_LIST(X)                                                                           \
    X(P_ONE, one)                   /* op_grid.c */                                                \
    X(P_SCAN, scan)                 /* op_scan.c */                                                \
    X(P_FILE, file)                 /* op_file.c */                                                \
    X(P_SYS, sys)                   /* op_sys.c */                                                 \
    X(P_GRID, grid)                 /* op_grid.c */                                                \
    X(P_VALUES, values)             /* op_grid.c */                                                \
    X(P_SERIES, series)             /* op_grid.c */                                                \
    X(P_SLICE, slice)               /* op_shape.c */                                               \
    X(P_REBASE, rebase)             /* op_shape.c */                                               \
    X(P_TRANSPOSE, transpose)       /* op_shape.c */                                               \
    X(P_FILTER, filter)             /* op_map.c */                                                 \
    X(P_MAP, map)                   /* op_map.c */                                                 \
    X(P_JOIN, join)                 /* op_join.c */                                                \
    X(P_HASH_JOIN, hash_join)       /* op_hash_join.c */                                           \
    X(P_ASOF_JOIN, asof_join)       /* op_asof_join.c */                                           \
    X(P_AGGREGATE, aggregate)       /* op_aggregate.c */                                           \
    X(P_DISTINCT, distinct)         /* op_distinct.c */                                            \
    X(P_SORT, sort)                 /* op_sort.c */                                                \
    X(P_LIMIT, limit)               /* op_limit.c */                                               \
    X(P_CONCAT, concat)             /* op_concat.c */                                              \
    X(P_REPEAT, repeat)             /* op_repeat.c */                                              \
    X(P_FETCH, fetch)               /* op_fetch.c */                                               \
    X(P_FILL, fill)                 /* op_fill.c */                                                \
    X(P_RESHAPE, reshape)           /* op_reshape.c */                                             \
    X(P_STACK, stack)               /* op_stack.c */                                               \
    X(P_PIVOT, pivot)               /* op_pivot.c */                                               \
    X(P_ROWS, rows)                 /* op_rows.c */                                                \
    X(P_REGRID, regrid)             /* op_regrid.c */                                              \
    X(P_FFT, fft)                   /* op_fft.c */                                                 \
    X(P_MATMUL, matmul)             /* op_matmul.c */                                              \
    X(P_LINALG, linalg)             /* op_linalg.c */                                              \
    X(P_WINDOW_CELLS, window_cells) /* op_window.c */                                              \
    X(P_WINDOW_ROWS, window_rows)   /* op_window_rows.c */

#define X(kind, name) extern const struct op_class op_##name##_class;
OP_CLASS_LIST(X)
#undef X

#endif
