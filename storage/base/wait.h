/* How does a thread wait for others, and still look up now and then? */
#ifndef TESSERA_WAIT_H
#define TESSERA_WAIT_H
#include <pthread.h>
#include <stdbool.h>

/* Waits for the condition, under the lock, for `ms` < 1000 milliseconds at most: true when they are
 * over, and the caller looks whether it is to go on. */
bool wait_for_ms(pthread_cond_t *cond, pthread_mutex_t *lock, int ms);

#endif
