/* The scheduler: a thread that finds which slots of schedules are due, and a thread for each
 * schedule that runs, with a session of its own.
 *
 * All that it decides is a record in the catalog (storage/runs.h) before it is done: a slot is
 * queued, then running, then what came of it. So whatever happens to the process, the next one goes
 * on from there. */
#ifndef TESSERA_SCHEDULER_H
#define TESSERA_SCHEDULER_H
#include "query/session.h"

struct scheduler;

enum status scheduler_start(struct ctx *c, struct engine *e, struct scheduler **out);
/* What runs is cancelled and queued again, for the next start. NULL allowed. */
void scheduler_stop(struct scheduler *s);

#endif
