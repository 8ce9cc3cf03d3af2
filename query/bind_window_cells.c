/* What does OVER [ … ] mean: which cells does each cell's window cover? */
#include "query/bind_internal.h"

enum status bind_cell_windows(struct binder *b, const struct scope *scope,
                              const struct win_call *const *calls, int n, struct plan *in,
                              struct plan **out)
{
    (void)scope, (void)n, (void)in, (void)out;
    return not_yet(b, calls[0]->over->pos, "windows of cells (OVER [ … ]) are");
}
