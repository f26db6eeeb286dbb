/* SPDX-License-Identifier: ISC */
/*
 * master: the supervisor. Started by "postfix start", by a service manager or as process 1 of a container. It
 * is the only process that stays root, and parses nothing that comes from the network. It reads the
 * configuration, opens listening sockets and the log, starts the roles, connects them and keeps them
 * alive. Anything that keeps it from starting is fatal, in words; later nothing is.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/stack_watch.h"
#include "common/process/lockfile.h"
#include "common/process/role_internal.h"
#include "master/supervisor.h"

#define START_LIMIT_MS 100000 /* how long "master -w" waits */
#define START_TRIES 3         /* ends of one service before it was ready, until the start counts as failed */

struct supervisor supervisor = {
    .slots = TAILQ_HEAD_INITIALIZER(supervisor.slots),
    .processes = TAILQ_HEAD_INITIALIZER(supervisor.processes),
    .log_fd = -1,
    .waiting_fd = -1,
};

struct options {
    bool keep_stdout;   /* -s, -i, -d: maillog_file may be /dev/stdout */
    bool test;          /* -t */
    bool wait;          /* -w */
    bool init;          /* -i */
    bool check;         /* -k, not Postfix's: read, report, end */
    int exit_seconds;   /* -e */
};

/* --- telling whoever waits ------------------------------------------------------------------- */

/* It waits until the end of file: closed when everything serves, or by the end of this process. */
static void tell_waiting(const char *text)
{
    if (supervisor.waiting_fd >= 0 && write(supervisor.waiting_fd, text, strlen(text)) < 0)
        log_warning("cannot tell how the start went: %s", strerror(errno));
}

void supervisor_ready(void)
{
    if (!supervisor.was_ready) {
        supervisor.was_ready = true;
        if (supervisor.explains != NULL)
            explain_and_stop();
        tell_waiting("ready\n");
        if (supervisor.waiting_fd >= 0)
            close(supervisor.waiting_fd);
        supervisor.waiting_fd = -1;
    }
    notify_send("READY=1");
}

void supervisor_start_failed(const struct slot *slot)
{
    if (slot->early_ends < START_TRIES || supervisor.stopping)
        return;
    char *text = mem_printf("service %s: %s does not start: see the log\n", slot->service, role_name(slot->role));
    log_error("service %s: %s does not start: giving up", slot->service, role_name(slot->role));
    tell_waiting(text);
    free(text);
    supervisor.exit_status = 1;
    supervisor_stop(false);
}

/* The foreground half of "master -w". */
static void wait_for_child(int fd, pid_t child) NORETURN;
static void wait_for_child(int fd, pid_t child)
{
    char text[1024];
    size_t len = 0;
    int64_t deadline = deadline_in_ms(START_LIMIT_MS);
    for (;;) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - clock_ms();
        if (left <= 0 || poll(&poller, 1, (int)left) == 0)
            break;
        ssize_t n = read(fd, text + len, sizeof text - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    text[len] = '\0';
    if (strcmp(text, "ready\n") == 0)
        _exit(0);
    if (clock_ms() < deadline) /* it ends, and its locks with it */
        (void)waitpid(child, NULL, 0);
    if (len > 0)
        fprintf(stderr, "master: fatal: %s", text);
    else if (clock_ms() >= deadline)
        fprintf(stderr, "master: fatal: not every service was ready within %d seconds\n", START_LIMIT_MS / 1000);
    _exit(1);
}

static void go_to_background(void)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        log_fatal("pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0)
        log_fatal("fork: %s", strerror(errno));
    if (child > 0) {
        close(fds[1]);
        wait_for_child(fds[0], child);
    }
    close(fds[0]);
    supervisor.waiting_fd = fds[1];
}

/* --- signals ------------------------------------------------------------------------------------ */

static void on_stop_signal(evutil_socket_t number, short what UNUSED, void *arg UNUSED)
{
    log_info("terminating on signal %d", (int)number);
    supervisor_stop(false);
}

static void on_hangup(evutil_socket_t number UNUSED, short what UNUSED, void *arg UNUSED)
{
    struct config_problems problems = {NULL, 0};
    if (supervisor.stopping)
        return;
    if (supervisor_reload(&problems)) /* a failure is in the log */
        log_debug("reloaded");
    config_problems_free(&problems);
}

static void on_exit_time(evutil_socket_t fd UNUSED, short what UNUSED, void *arg UNUSED)
{
    supervisor_stop(false);
}

static void watch_signal(int number, event_callback_fn handler)
{
    struct event *event = evsignal_new(fiber_loop_base(), number, handler, NULL);
    if (event == NULL || event_add(event, NULL) < 0)
        log_fatal("cannot watch signal %d", number);
}

static void watch_signals(const struct options *options)
{
    watch_signal(SIGTERM, on_stop_signal);
    watch_signal(SIGHUP, on_hangup);
    if (supervisor.foreground)
        watch_signal(SIGINT, on_stop_signal);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        log_fatal("signal: %s", strerror(errno));
    if (options->exit_seconds > 0) {
        struct timeval tv = {options->exit_seconds, 0};
        struct event *timer = evtimer_new(fiber_loop_base(), on_exit_time, NULL);
        if (timer == NULL || event_add(timer, &tv) < 0)
            log_fatal("cannot set a timer");
    }
}

/* --- start ------------------------------------------------------------------------------------------ */

static void read_options(int argc, char **argv, struct options *options)
{
    int letter;
    while ((letter = getopt(argc, argv, "c:Dde:ikstvwx:")) != -1) {
        switch (letter) {
        case 'c':
            if (setenv("MAIL_CONFIG", optarg, 1) < 0)
                log_fatal("setenv: %s", strerror(errno));
            break;
        case 'D': /* a debugger attaches by pid; the start need not wait for it */
            break;
        case 'd':
            options->keep_stdout = true;
            break;
        case 'e':
            options->exit_seconds = atoi(optarg);
            break;
        case 'i':
            options->init = options->keep_stdout = true;
            break;
        case 'k':
            options->check = true;
            break;
        case 's':
            options->keep_stdout = true;
            break;
        case 't':
            options->test = true;
            break;
        case 'v':
            supervisor.verbose = true;
            break;
        case 'w':
            options->wait = true;
            break;
        case 'x':
            supervisor.explains = optarg;
            options->keep_stdout = true;
            break;
        default:
            fputs("usage: master [-c config_dir] [-e exit_time] [-D (debug)] [-d (don't detach from terminal)] "
                  "[-i (init mode)] [-k (check)] [-s (keep stdout)] [-t (test)] [-v] [-w (wait for "
                  "initialization)]\n", stderr);
            exit(1);
        }
    }
    if (options->init && getpid() != 1)
        log_fatal("-i is allowed only for PID 1 process");
}

/* Absolute, since the supervisor lives in the queue directory. */
static void find_config_directory(void)
{
    char resolved[PATH_MAX];
    const char *directory = getenv("MAIL_CONFIG");
    if (directory == NULL)
        directory = POSTHORN_CONFIG_DIRECTORY;
    if (realpath(directory, resolved) == NULL)
        log_fatal("configuration directory %s: %s", directory, strerror(errno));
    supervisor.config_directory = mem_strdup(resolved);
    if (setenv("MAIL_CONFIG", resolved, 1) < 0)
        log_fatal("setenv: %s", strerror(errno));
}

/* As read for the locks, before the start proper. */
static struct config *boot_config;

static void die_of_problems(const struct config_problems *problems) NORETURN;
static void die_of_problems(const struct config_problems *problems)
{
    struct config_problems ignored = {NULL, 0};
    supervisor_report(problems); /* to whoever typed the command */
    if (boot_config != NULL && master_log_open(boot_config, &ignored))
        supervisor_report(problems); /* and to the log, where it can be found */
    log_fatal("the mail system cannot start with this configuration");
}

/* The locks come before anything that another supervisor may be using. */
static void take_locks(void)
{
    struct config_problems problems = {NULL, 0};
    struct mail_ids ids;
    boot_config = config_load(supervisor.config_directory, &problems);
    if (boot_config == NULL || !mail_ids_load(boot_config, &ids, &problems) ||
        !layout_prepare(boot_config, &ids, false, &problems))
        die_of_problems(&problems);
    lockfile_take(boot_config, &ids);
    config_problems_free(&problems); /* supervisor_load() finds and reports them again */
}

static int test_lock(void)
{
    struct config_problems problems = {NULL, 0};
    const struct config *config = config_load(supervisor.config_directory, &problems);
    if (config == NULL)
        die_of_problems(&problems);
    return lockfile_is_held(config) ? 1 : 0;
}

static int check_only(void)
{
    struct config_problems problems = {NULL, 0};
    bool works = supervisor_check(&problems);
    supervisor_report(&problems);
    config_problems_free(&problems);
    return works ? 0 : 1;
}

static void leave_terminal(const struct options *options)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (!supervisor.foreground && setsid() < 0)
        log_fatal("setsid: %s", strerror(errno));
    if (null < 0 || dup2(null, STDIN_FILENO) < 0)
        log_fatal("/dev/null: %s", strerror(errno));
    if (!options->keep_stdout && dup2(null, STDOUT_FILENO) < 0)
        log_fatal("/dev/null: %s", strerror(errno));
    if (!options->keep_stdout && dup2(null, STDERR_FILENO) < 0)
        log_fatal("/dev/null: %s", strerror(errno));
    close(null);
}

/* Root, but only as far as its duties go: ports, users, directories, limits, its children. */
static void drop_what_is_never_needed(void)
{
    static const int needed[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_KILL, CAP_NET_BIND_SERVICE, CAP_SETGID,
                                 CAP_SETPCAP, CAP_SETUID, CAP_SYS_CHROOT, CAP_SYS_RESOURCE};
    uint64_t mask = 0;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        mask |= UINT64_C(1) << needed[i];
    sandbox_keep_capabilities(mask);
}

static void start(void)
{
    struct config_problems problems = {NULL, 0};
    if (!supervisor_load(&problems))
        die_of_problems(&problems);
    supervisor_report(&problems);
    config_problems_free(&problems);
    if (boot_config != NULL)
        config_free(boot_config);
    boot_config = NULL;
    if (!supervisor.ids.is_root)
        log_info("not started as root: every process runs as user %ld, without chroot", (long)geteuid());
    if (supervisor.explains == NULL)
        control_open();
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct log_options early = {.sink = LOG_TO_STDERR, .fd = -1, .component = "postfix/master"};
    log_open(&early);
    read_options(argc, argv, &options);
    find_config_directory();
    if (options.test)
        return test_lock();
    if (options.check)
        return check_only();
    supervisor.foreground = !options.wait;
    supervisor.started_at = wall_us();
    umask(077);
    drop_what_is_never_needed();
    if (options.wait)
        go_to_background();
    if (supervisor.explains == NULL) {
        take_locks();
        notify_init();
    }
    fiber_loop_init();
    supervise_init();
    watch_signals(&options);
    start();
    if (supervisor.explains == NULL)
        leave_terminal(&options);
    fiber_loop_run();
    log_flush();
    stack_watch_report();
    return supervisor.exit_status;
}
