/* The functions of matrix algebra over whole matrices: their names. linalg_run.h runs them. */
#ifndef TESSERA_LINALG_H
#define TESSERA_LINALG_H

/* Name, how many matrices it takes and gives. */
#define LINALG_LIST(X)                                                                             \
    X(LA_INVERSE, "inverse", 1, 1)                                                                 \
    X(LA_SOLVE, "solve", 2, 1)                                                                     \
    X(LA_LSTSQ, "lstsq", 2, 1)                                                                     \
    X(LA_CHOLESKY, "cholesky", 1, 1)                                                               \
    X(LA_LU, "lu", 1, 3)     /* p, l, u */                                                         \
    X(LA_QR, "qr", 1, 2)     /* q, r */                                                            \
    X(LA_SVD, "svd", 1, 3)   /* u, s, vt */                                                        \
    X(LA_EIGH, "eigh", 1, 2) /* w, v */                                                            \
    X(LA_DET, "det", 1, 1)
enum linalg_fn {
#define X(id, name, takes, gives) id,
    LINALG_LIST(X)
#undef X
        N_LINALG
};
enum { LINALG_MOST = 3 }; /* matrices that one gives */

const char *linalg_name(enum linalg_fn fn);
int linalg_takes(enum linalg_fn fn);
int linalg_gives(enum linalg_fn fn);

#endif
