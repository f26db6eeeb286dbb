/* SPDX-License-Identifier: ISC */
/*
 * bench_queue: the queue alone. N submissions of SIZE bytes from C concurrent fibers over one channel, each to its
 * durable answer, and then until all are delivered to an agent that answers at once. Everything runs in one
 * process, so the CPU time includes the players of smtpd, lookup and the agent.
 *
 *     bench_queue DIRECTORY [N [C [SIZE]]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "tests/unit/queue_peers.h"

static const char *directory;
static unsigned total = 20000, sessions = 100, size = 4096;
static unsigned started, finished, failed;
static char *content;
static struct fiber_cond all_done;
static struct ipc_channel *channel;

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void session(void *arg)
{
    (void)arg;
    while (started < total) {
        started++;
        if (queue_peers_submit(channel, "from@example.org", "user@example.com", content, NULL) != SUBMIT_OK)
            failed++;
        finished++;
    }
    if (finished == total)
        fiber_cond_signal(&all_done);
}

static void run(void *arg)
{
    (void)arg;
    queue_peers_start(directory, NULL);
    channel = queue_peers_client();
    (void)queue_peers_serial(channel);
    double cpu = cpu_seconds();
    int64_t start = clock_ms();
    for (unsigned i = 0; i < sessions; i++)
        fiber_spawn("session", session, NULL);
    if (fiber_cond_wait(&all_done, deadline_in_s(600)) != WAIT_OK)
        log_fatal("not all were answered");
    int64_t answered = clock_ms() - start;
    while (seen.recipients < total)
        if (fiber_sleep_until(deadline_in_ms(1)) != WAIT_OK)
            return;
    int64_t delivered = clock_ms() - start;
    printf("%u messages of %u bytes, %u sessions: %u failed\n", total, size, sessions, failed);
    printf("durable   %8.0f messages/s\n", total * 1000.0 / (double)answered);
    printf("delivered %8.0f messages/s\n", total * 1000.0 / (double)delivered);
    printf("CPU       %8.1f us a message, players included\n", (cpu_seconds() - cpu) * 1e6 / total);
    fflush(stdout);
    fiber_loop_stop();
}

int main(int argc, char **argv)
{
    if (argc < 2)
        log_fatal("usage: bench_queue DIRECTORY [N [C [SIZE]]]");
    directory = argv[1];
    if (argc > 2)
        total = (unsigned)strtoul(argv[2], NULL, 10);
    if (argc > 3)
        sessions = (unsigned)strtoul(argv[3], NULL, 10);
    if (argc > 4)
        size = (unsigned)strtoul(argv[4], NULL, 10);
    content = mem_alloc(size + 1);
    for (unsigned i = 0; i < size; i++)
        content[i] = i % 72 == 71 ? '\n' : 'x';
    FILE *log = fopen(getenv("BENCH_LOG") != NULL ? getenv("BENCH_LOG") : "/dev/null", "w");
    if (log == NULL)
        log_fatal("/dev/null");
    struct log_options options = {.sink = LOG_TO_FILE, .fd = fileno(log), .syslog_name = "postfix",
                                  .component = "queue", .host_name = "mx"};
    log_open(&options);
    fiber_loop_init();
    fiber_spawn("bench", run, NULL);
    fiber_loop_run();
    return 0;
}
