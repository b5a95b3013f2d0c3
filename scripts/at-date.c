/*
 * A clock that is TICKETDB_CLOCK_OFFSET seconds ahead of the machine's, for processes that preload this.
 *
 * Only the date is changed; monotonic clocks, timers and sleeping are the machine's own. Debian's
 * faketime returns the machine's date inside a signal handler that interrupts a wait: PostgreSQL, which
 * reads the date when an alarm fires, then concludes that lock_timeout or statement_timeout has not
 * been reached yet.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static int (*machine_clock)(clockid_t, struct timespec *);
static time_t offset;

__attribute__((constructor)) static void begin(void)
{
    const char *seconds = getenv("TICKETDB_CLOCK_OFFSET");

    machine_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    offset = seconds ? (time_t)atoll(seconds) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int status;

    if (!machine_clock) /* called while the program is still being loaded */
        begin();
    status = machine_clock(clock, now);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset;
    return status;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now)
{
    struct timespec precise;

    clock_gettime(CLOCK_REALTIME, &precise);
    if (now)
        *now = precise.tv_sec;
    return precise.tv_sec;
}
