/* SPDX-License-Identifier: ISC */
/* Three clocks: the monotonic one for deadlines, the wall clock for stamps people read, and what this thread has worked. */
#ifndef POSTHORN_BASE_CLOCK_H
#define POSTHORN_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* A deadline that never comes. */
#define CLOCK_NEVER INT64_MAX

/* Milliseconds of the monotonic clock: the unit of every deadline. */
static inline int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The deadline so many milliseconds (seconds) from now. */
static inline int64_t deadline_in_ms(int64_t ms) { return clock_ms() + ms; }
static inline int64_t deadline_in_s(int64_t seconds) { return clock_ms() + seconds * 1000; }

/* Milliseconds of processor time of this thread: bounds work, however busy the machine is. */
static inline int64_t clock_worked_ms(void)
{
    struct timespec worked;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &worked);
    return (int64_t)worked.tv_sec * 1000 + worked.tv_nsec / 1000000;
}

/* Microseconds since 1970-01-01 UTC. */
static inline int64_t wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#endif
