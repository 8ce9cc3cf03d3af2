/* Waiting for a condition, for a moment. */
#include "storage/base/wait.h"
#include <errno.h>
#include <time.h>

bool wait_for_ms(pthread_cond_t *cond, pthread_mutex_t *lock, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += ms * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    return pthread_cond_timedwait(cond, lock, &until) == ETIMEDOUT;
}
