/* SPDX-License-Identifier: ISC */
/*
 * log: the one place that opens the log, for the supervisor and for every role. A syslogd that is not there
 * is asked for again every few seconds, silently: there is no place to complain to.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/process/log_sink.h"
#include "master/supervisor.h"

#define RETRY_SECONDS 2

static enum log_sink open_sink = LOG_TO_STDERR;
static int64_t reopened_at = INT64_MIN / 2;
static int own_fd = -1; /* the descriptor that log.h owns, a copy of supervisor.log_fd */

static void on_retry(evutil_socket_t fd UNUSED, short what UNUSED, void *arg UNUSED)
{
    master_log_reopen();
}

static void retry_later(void)
{
    static struct event *timer;
    const struct timeval pause = {RETRY_SECONDS, 0};
    if (fiber_loop_base() == NULL)
        return;
    if (timer == NULL)
        timer = evtimer_new(fiber_loop_base(), on_retry, NULL);
    if (timer == NULL || (!evtimer_pending(timer, NULL) && event_add(timer, &pause) < 0))
        log_fatal("cannot set a timer");
}

/* "master -x" serves whoever typed a command: what there is to say is said there. */
enum log_sink master_log_kind(const struct config *config)
{
    return supervisor.explains != NULL ? LOG_TO_FILE : log_sink_kind(config);
}

static void adopt(const struct config *config, int fd)
{
    enum log_sink sink = master_log_kind(config);
    int copy = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    if (supervisor.log_fd >= 0)
        close(supervisor.log_fd);
    supervisor.log_fd = fd;
    if (sink == open_sink && own_fd >= 0 && copy >= 0)
        log_replace_fd(copy); /* closes the old one */
    else {
        int old = own_fd;
        log_sink_start(config, "master", sink, copy, supervisor.verbose);
        log_on_lost(retry_later); /* not at once: it is called while the log is being written */
        if (old >= 0)
            close(old);
    }
    own_fd = copy;
    open_sink = sink;
}

bool master_log_open(const struct config *config, struct config_problems *problems)
{
    char *problem = NULL;
    if (!log_sink_knows_facility(config)) {
        config_problems_add(problems, config_origin(config, "syslog_facility"), true,
                            "parameter syslog_facility: unrecognized value: %s",
                            config_string(config, "syslog_facility"));
        return false;
    }
    int fd = supervisor.explains != NULL ? fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3) : log_sink_open(config, &problem);
    bool is_file = master_log_kind(config) == LOG_TO_FILE;
    if (fd < 0 && is_file)
        config_problems_add(problems, config_origin(config, "maillog_file"), true, "%s", problem);
    if (fd >= 0 || !is_file)
        adopt(config, fd);
    if (fd < 0 && !is_file)
        retry_later();
    free(problem);
    return fd >= 0 || !is_file;
}

/* A role that says so without end, because it was taken over, shall not keep everybody busy. */
void master_log_lost(void)
{
    if (clock_ms() - reopened_at < RETRY_SECONDS * 1000)
        retry_later();
    else
        master_log_reopen();
}

void master_log_reopen(void)
{
    reopened_at = clock_ms();
    struct config_problems problems = {NULL, 0};
    bool works = master_log_open(supervisor.config, &problems);
    supervisor_report(&problems);
    config_problems_free(&problems);
    if (works && supervisor.log_fd >= 0)
        supervise_broadcast_log();
}
