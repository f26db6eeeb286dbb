/* SPDX-License-Identifier: ISC */
/*
 * log: collects lines and writes them at the end of a loop turn, in Postfix's format.
 * One sink per process, opened before the process is confined. Never blocks, never fails upward.
 */
#include "common/base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "common/base/fiber.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define LOG_BUFFER_LIMIT (1024 * 1024) /* collected and unwritten; more is dropped */
#define LOG_LINE_LIMIT 4096            /* bytes of text in one line */

static void log_flush_hook(struct fiber_turn_hook *hook);

static struct {
    enum log_sink sink;
    int fd;
    bool is_pipe; /* may block: write only what poll() says fits */
    bool verbose;
    bool lost; /* the sink's peer is gone; a new descriptor was asked for */
    int facility;
    char *syslog_name;
    char *component;
    char *host_name;
    struct str pending; /* LOG_TO_FILE: text; LOG_TO_SYSLOG: NUL-separated datagrams */
    unsigned long dropped;
    time_t stamp_second;
    char stamp[32];
    void (*ask_for_new_fd)(void);
    bool (*filter)(const char *label, const char *text);
    struct fiber_turn_hook hook;
} state = {.sink = LOG_TO_STDERR, .fd = -1, .hook = {.run = log_flush_hook}};

static void log_replace_text(char **slot, const char *text)
{
    free(*slot);
    *slot = mem_strdup(text != NULL ? text : "");
}

static void log_adopt_fd(int fd)
{
    struct stat info;
    state.fd = fd;
    state.lost = false;
    state.is_pipe = fstat(fd, &info) == 0 && !S_ISREG(info.st_mode);
}

void log_open(const struct log_options *options)
{
    static bool registered;
    log_flush();
    log_replace_text(&state.syslog_name, options->syslog_name);
    log_replace_text(&state.component, options->component);
    log_replace_text(&state.host_name, options->host_name);
    state.sink = options->sink;
    state.facility = options->facility;
    state.verbose = options->verbose;
    if (options->sink != LOG_TO_STDERR)
        log_adopt_fd(options->fd);
    tzset(); /* reads /etc/localtime while it can be seen */
    if (!registered)
        atexit(log_flush);
    registered = true;
}

void log_replace_fd(int fd)
{
    log_flush();
    if (state.fd >= 0)
        close(state.fd);
    log_adopt_fd(fd);
    log_flush();
}

void log_on_lost(void (*ask_for_new_fd)(void))
{
    state.ask_for_new_fd = ask_for_new_fd;
}

void log_set_verbose(bool verbose)
{
    state.verbose = verbose;
}

void log_set_filter(bool (*filter)(const char *label, const char *text))
{
    state.filter = filter;
}

bool log_is_verbose(void)
{
    return state.verbose;
}

/* --- writing out ------------------------------------------------------------ */

static bool log_can_write(void)
{
    struct pollfd poller = {.fd = state.fd, .events = POLLOUT};
    return poll(&poller, 1, 0) > 0 && (poller.revents & POLLOUT) != 0;
}

static void log_sink_lost(void)
{
    if (!state.lost && state.ask_for_new_fd != NULL)
        state.ask_for_new_fd();
    state.lost = true;
}

static void log_drop_written(size_t len)
{
    memmove(state.pending.data, state.pending.data + len, state.pending.len - len);
    str_truncate(&state.pending, state.pending.len - len);
}

static void log_write_file(void)
{
    size_t done = 0;
    while (done < state.pending.len) {
        size_t chunk = state.pending.len - done;
        if (state.is_pipe) {
            if (!log_can_write())
                break;
            chunk = chunk > 4096 ? 4096 : chunk; /* PIPE_BUF: what a writable pipe surely takes */
        }
        ssize_t n = write(state.fd, state.pending.data + done, chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) { /* a full disk or a closed pipe: these lines are gone, the server goes on */
            if (errno != EAGAIN) {
                state.dropped++;
                done = state.pending.len;
            }
            break;
        }
        done += (size_t)n;
    }
    if (done > 0)
        log_drop_written(done);
}

static void log_write_syslog(void)
{
    size_t done = 0;
    while (done < state.pending.len && !state.lost) {
        size_t len = strlen(state.pending.data + done);
        ssize_t n = send(state.fd, state.pending.data + done, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
            break;
        if (n < 0) {
            log_sink_lost();
            break;
        }
        done += len + 1;
    }
    if (done > 0)
        log_drop_written(done);
}

void log_flush(void)
{
    if (state.pending.len == 0 || state.fd < 0)
        return;
    if (state.sink == LOG_TO_FILE)
        log_write_file();
    else
        log_write_syslog();
}

static void log_flush_hook(struct fiber_turn_hook *hook UNUSED)
{
    log_flush();
}

/* --- making lines ------------------------------------------------------------- */

static const char *log_stamp(void)
{
    time_t now = time(NULL);
    if (now != state.stamp_second) {
        struct tm parts;
        localtime_r(&now, &parts);
        /* As syslog and Postfix write it, in English whatever the locale. */
        static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        snprintf(state.stamp, sizeof state.stamp, "%s %2d %02d:%02d:%02d", months[parts.tm_mon],
                 parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
        state.stamp_second = now;
    }
    return state.stamp;
}

static void log_append_line(int severity, const char *component, const char *label, const char *text)
{
    const char *slash = *state.syslog_name != '\0' && *component != '\0' ? "/" : "";
    if (state.sink == LOG_TO_FILE)
        str_printf(&state.pending, "%s %s %s%s%s[%ld]: %s%s\n", log_stamp(), state.host_name,
                   state.syslog_name, slash, component, (long)getpid(), label, text);
    else {
        str_printf(&state.pending, "<%d>%s %s%s%s[%ld]: %s%s", state.facility | severity, log_stamp(),
                   state.syslog_name, slash, component, (long)getpid(), label, text);
        str_append_char(&state.pending, '\0');
    }
}

static void log_line(int severity, const char *component, const char *label, const char *text)
{
    if (state.sink == LOG_TO_STDERR) {
        const char *name = state.component != NULL && *state.component != '\0' ? state.component : NULL;
        fprintf(stderr, "%s%s%s%s\n", name != NULL ? name : "", name != NULL ? ": " : "", label, text);
        return;
    }
    if (state.pending.len > LOG_BUFFER_LIMIT) {
        state.dropped++;
        log_flush();
        return;
    }
    if (state.dropped > 0) {
        char count[64];
        snprintf(count, sizeof count, "%lu log messages were lost", state.dropped);
        state.dropped = 0;
        log_append_line(LOG_WARNING, state.component, "warning: ", count);
    }
    log_append_line(severity, component != NULL ? component : state.component, label, text);
    fiber_at_turn_end(&state.hook);
}

static void log_vline(int severity, const char *component, const char *label, const char *fmt,
                      va_list args) __attribute__((format(printf, 4, 0)));
static void log_vline(int severity, const char *component, const char *label, const char *fmt, va_list args)
{
    int saved_errno = errno;
    static char text[LOG_LINE_LIMIT]; /* not on the stack: an idle session's fiber would keep the page */
    int len = vsnprintf(text, sizeof text, fmt, args);
    if (len < 0)
        len = 0;
    text_make_printable(text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
    if (state.filter == NULL || !state.filter(label, text))
        log_line(severity, component, label, text);
    errno = saved_errno;
}

#define LOG_BODY(severity, component, label) \
    do { \
        va_list args; \
        va_start(args, fmt); \
        log_vline(severity, component, label, fmt, args); \
        va_end(args); \
    } while (0)

void log_info(const char *fmt, ...) { LOG_BODY(LOG_INFO, NULL, ""); }
void log_warning(const char *fmt, ...) { LOG_BODY(LOG_WARNING, NULL, "warning: "); }
void log_error(const char *fmt, ...) { LOG_BODY(LOG_ERR, NULL, "error: "); }
void log_info_as(const char *component, const char *fmt, ...) { LOG_BODY(LOG_INFO, component, ""); }
void log_warning_as(const char *component, const char *fmt, ...)
{
    LOG_BODY(LOG_WARNING, component, "warning: ");
}

void log_debug(const char *fmt, ...)
{
    if (state.verbose)
        LOG_BODY(LOG_INFO, NULL, "");
}

void log_fatal(const char *fmt, ...)
{
    LOG_BODY(LOG_CRIT, NULL, "fatal: ");
    log_flush();
    exit(1);
}

void log_panic(const char *fmt, ...)
{
    LOG_BODY(LOG_CRIT, NULL, "panic: ");
    log_flush();
    abort();
}

void log_emergency(const char *text, const char *more)
{
    if (state.sink != LOG_TO_FILE || state.fd < 0)
        return;
    if (write(state.fd, text, strlen(text)) < 0 || write(state.fd, more, strlen(more)) < 0 ||
        write(state.fd, "\n", 1) < 0)
        return;
}
