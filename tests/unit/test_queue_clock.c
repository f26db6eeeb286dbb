/* SPDX-License-Identifier: ISC */
/* The wall clock is set while mail waits: nothing is tried too early, and nothing waits for years. */
#include "tests/unit/queue_session.h"

#include <sys/syscall.h>
#include <time.h>

static int64_t jump_s;

/* In front of libc's: what clock.h calls. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    long result = syscall(SYS_clock_gettime, clock, now);
    if (clock == CLOCK_REALTIME)
        now->tv_sec += jump_s;
    return (int)result;
}

static struct message *submit_and_defer(char id[QUEUE_ID_SIZE])
{
    char reason[256];
    queue_peers_flip = false;
    submit("a@example.org", "flip@example.com", "\nx\n", id);
    WAIT_UNTIL(listed_in(id, reason) == CONTROL_IN_DEFERRED);
    struct message *message = message_find_id(slice_of(id));
    assert_non_null(message);
    WAIT_UNTIL(message->state == MESSAGE_WAITING);
    return message;
}

static void a_clock_set_forward_tries_nothing_early(void)
{
    char id[QUEUE_ID_SIZE];
    submit_and_defer(id);
    unsigned before = seen.deliveries;
    jump_s = 100000;
    wait_ms(1300); /* the schedule looks every second */
    assert_int_equal(seen.deliveries, before);
    jump_s = 0;
    queue_peers_flip = true;
    flush();
    WAIT_UNTIL(message_find_id(slice_of(id)) == NULL);
}

static void a_clock_set_back_delays_nothing(void)
{
    char id[QUEUE_ID_SIZE];
    struct message *message = submit_and_defer(id);
    schedule_remove(message);
    schedule_wait(message, wall_us() / 1000000 + 1);
    queue_peers_flip = true;
    jump_s = -100000;
    WAIT_UNTIL(message_find_id(slice_of(id)) == NULL);
    jump_s = 0;
}

TEST(a_clock_set_forward_tries_nothing_early)
TEST(a_clock_set_back_delays_nothing)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENTRY(a_clock_set_forward_tries_nothing_early)
        ENTRY(a_clock_set_back_delays_nothing)
    };
    return queue_session_main("queue-clock", tests, sizeof tests / sizeof tests[0]);
}
