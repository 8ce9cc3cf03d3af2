/* What does OVER (PARTITION BY … ORDER BY … frame) mean? */
#include "query/bind_internal.h"

enum status row_function(struct binder *b, struct win_call *w)
{
    return not_yet(b, w->call.pos, "the window function %s is", w->function);
}

enum status bind_row_windows(struct binder *b, const struct win_call *const *calls, int n,
                             struct plan *in, struct plan **out)
{
    (void)n, (void)in, (void)out;
    return not_yet(b, calls[0]->over->pos, "windows of rows (OVER) are");
}
