/* The SQLSTATE of each error code. */
#include "storage/base/status.h"

static const struct {
    const char *sqlstate;
} codes[] = {
#define X(code, sqlstate, meaning) {sqlstate},
    STATUS_LIST(X)
#undef X
};

static int index_of(enum status s)
{
    int i = (int)s - (int)STATUS_BEFORE_FIRST - 1;
    return s < 0 && i >= 0 && i < (int)(sizeof codes / sizeof *codes) ? i : -1;
}

const char *status_sqlstate(enum status s)
{
    int i = index_of(s);
    return i < 0 ? (s == OK ? "00000" : "XX000") : codes[i].sqlstate;
}
