/* SPDX-License-Identifier: ISC */
/*
 * postfix: starts, stops and looks after the mail system, with the words, log lines and exit statuses of the program
 * of that name. Run by root, a service manager or (then for a system of one's own) an ordinary user. Everything
 * that needs the configuration in depth is done by master.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "commands/control_client.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/layout.h"
#include "common/process/lockfile.h"
#include "common/process/log_sink.h"

#define STOP_SECONDS 10
#define COMMANDS "start (or stop, reload, abort, flush, check, status, set-permissions, " \
                 "upgrade-configuration, logrotate)"

static struct config *config;
static bool verbose;
static bool has_log; /* lines also go to the mail log */

/* --- saying it: to the terminal and to the log --------------------------------------------- */

static void open_log(void)
{
    char *problem = NULL;
    int fd = log_sink_open(config, &problem);
    free(problem); /* without the right to write it, the terminal has to do */
    if (fd < 0)
        return;
    log_sink_start(config, "postfix-script", log_sink_kind(config), fd, verbose);
    has_log = true;
}

enum level { SAY_INFO, SAY_WARNING, SAY_FATAL };

static void say(enum level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(enum level level, const char *fmt, ...)
{
    static const char *const labels[] = {"", "warning: ", "fatal: "};
    char text[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(stderr, "postfix/postfix-script: %s%s\n", labels[level], text);
    if (has_log && level == SAY_WARNING)
        log_warning("%s", text);
    else if (has_log)
        log_info("%s%s", labels[level], text);
    log_flush();
}

static void say_problems(const struct config_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct config_problem *problem = &problems->list[i];
        char *where = problem->where.file != NULL ?
                          mem_printf("%s, line %u: ", problem->where.file, problem->where.line) : mem_strdup("");
        say(problem->fatal ? SAY_FATAL : SAY_WARNING, "%s%s", where, problem->text);
        free(where);
    }
}

/* --- running programs ------------------------------------------------------------------------ */

static char *master_program(void)
{
    char *directory = layout_daemon_directory(config);
    char *path = mem_printf("%s/master", directory);
    free(directory);
    return path;
}

static void run_in_place(const char *path, const char *const *arguments) NORETURN;
static void run_in_place(const char *path, const char *const *arguments)
{
    execv(path, (char *const *)arguments);
    say(SAY_FATAL, "cannot run %s: %s", path, strerror(errno));
    exit(1);
}

/* The exit status, or 1 for anything unusual. */
static int run_and_wait(const char *path, const char *const *arguments)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        run_in_place(path, arguments);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int run_master(const char *option, bool in_place)
{
    char *path = master_program();
    const char *arguments[] = {"master", option, verbose ? "-v" : NULL, NULL};
    if (in_place)
        run_in_place(path, arguments);
    int status = run_and_wait(path, arguments);
    free(path);
    return status;
}

/* --- the commands ------------------------------------------------------------------------------ */

static bool prepare(bool repair)
{
    struct config_problems problems = {NULL, 0};
    struct mail_ids ids;
    bool works = mail_ids_load(config, &ids, &problems) && layout_prepare(config, &ids, repair, &problems);
    say_problems(&problems);
    config_problems_free(&problems);
    return works;
}

static bool refuse_second_start(void)
{
    if (!lockfile_is_held(config))
        return false;
    say(SAY_FATAL, "the Postfix mail system is already running");
    return true;
}

static pid_t running_pid(void)
{
    pid_t pid = lockfile_holder(config);
    if (pid == 0)
        say(SAY_FATAL, "the Postfix mail system is not running");
    return pid;
}

static bool start_checks(void)
{
    if (refuse_second_start())
        return false;
    if (!prepare(false)) {
        say(SAY_FATAL, "Postfix integrity check failed!");
        return false;
    }
    say(SAY_INFO, "starting the Postfix mail system");
    return true;
}

static int do_start(void)
{
    if (!start_checks())
        return 1;
    if (run_master("-w", false) == 0)
        return 0;
    say(SAY_FATAL, "mail system startup failed");
    return 1;
}

static int do_start_fg(void)
{
    if (!start_checks())
        return 1;
    return run_master(getpid() == 1 ? "-i" : "-s", true);
}

static void send_signal(pid_t pid, int number)
{
    if (kill(pid, number) < 0 && errno != ESRCH)
        say(SAY_FATAL, "kill %ld: %s", (long)pid, strerror(errno));
}

static int wait_for_end(pid_t pid)
{
    int64_t begin = clock_ms();
    for (int seconds = 0; seconds < STOP_SECONDS;) {
        struct timespec pause = {0, 20 * 1000 * 1000};
        nanosleep(&pause, NULL);
        if (!lockfile_is_held(config))
            return 0;
        if (clock_ms() - begin >= (int64_t)(seconds + 1) * 1000) {
            seconds++;
            say(SAY_INFO, "waiting for the Postfix mail system to terminate");
        }
    }
    say(SAY_WARNING, "stopping the Postfix mail system with force");
    send_signal(pid, SIGKILL); /* its processes end when they lose it */
    return 0;
}

static int do_stop(void)
{
    struct str answer = STR_EMPTY;
    pid_t pid = running_pid();
    if (pid == 0)
        return 1;
    say(SAY_INFO, "stopping the Postfix mail system");
    if (!control_ask(config, "stop", &answer))
        send_signal(pid, SIGTERM); /* it is another Postfix's, or too busy to answer */
    str_free(&answer);
    return wait_for_end(pid);
}

static int do_abort(void)
{
    pid_t pid = running_pid();
    if (pid == 0)
        return 1;
    say(SAY_INFO, "aborting the Postfix mail system");
    send_signal(pid, SIGTERM);
    return 0;
}

static int do_reload(void)
{
    struct str answer = STR_EMPTY;
    struct slice rest, line;
    pid_t pid = running_pid();
    int status = 0;
    if (pid == 0)
        return 1;
    say(SAY_INFO, "refreshing the Postfix mail system");
    if (!control_ask(config, "reload", &answer))
        send_signal(pid, SIGHUP);
    rest = str_slice(&answer);
    while (slice_next_token(&rest, "\n", &line))
        if (slice_starts_with_nocase(line, SLICE("error: "))) {
            line = slice_skip(line, strlen("error: "));
            say(SAY_FATAL, "%.*s", SLICE_ARGS(line));
            status = 1;
        }
    str_free(&answer);
    return status;
}

static int do_flush(void)
{
    char *directory = layout_command_directory(config);
    const char *arguments[] = {"postqueue", "-f", NULL};
    run_in_place(mem_printf("%s/postqueue", directory), arguments);
}

static int do_check(void)
{
    return run_master("-k", false);
}

static int do_status(void)
{
    pid_t pid = lockfile_holder(config);
    if (pid == 0)
        say(SAY_INFO, "the Postfix mail system is not running");
    else
        say(SAY_INFO, "the Postfix mail system is running: PID: %ld", (long)pid);
    return pid == 0 ? 1 : 0;
}

/* Commands that any user may run, with the group that may enter the queue's public directories. */
static bool make_setgid(gid_t group)
{
    static const char *const programs[] = {"postqueue", "postdrop", "postlog"};
    char *directory = layout_command_directory(config);
    bool works = true;
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        char *path = mem_printf("%s/%s", directory, programs[i]);
        if (access(path, F_OK) == 0 && (chown(path, 0, group) < 0 || chmod(path, 02755) < 0)) {
            say(SAY_FATAL, "%s: %s", path, strerror(errno));
            works = false;
        }
        free(path);
    }
    free(directory);
    return works;
}

static int do_set_permissions(void)
{
    struct config_problems problems = {NULL, 0};
    struct mail_ids ids;
    if (!prepare(true) || !mail_ids_load(config, &ids, &problems))
        return 1;
    return !ids.is_root || make_setgid(ids.setgid) ? 0 : 1;
}

/* Old configurations need no change here: what they say is understood as it is. */
static int do_upgrade_configuration(void)
{
    return prepare(false) && run_master("-k", false) == 0 ? 0 : 1;
}

static char *rotated_name(const char *path)
{
    char suffix[128];
    time_t now = time(NULL);
    struct tm parts;
    localtime_r(&now, &parts);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the admin's own format */
    size_t len = strftime(suffix, sizeof suffix, config_string(config, "maillog_file_rotate_suffix"), &parts);
#pragma GCC diagnostic pop
    return mem_printf("%s.%s", path, len > 0 ? suffix : "old");
}

static int do_logrotate(void)
{
    struct str answer = STR_EMPTY;
    const char *path = config_string(config, "maillog_file");
    if (*path == '\0' || strcmp(path, "/dev/stdout") == 0) {
        say(SAY_FATAL, "not using maillog_file, or it is not a file");
        return 1;
    }
    char *rotated = rotated_name(path);
    int error = access(rotated, F_OK) == 0 ? EEXIST : rename(path, rotated) < 0 ? errno : 0;
    if (error != 0) {
        say(SAY_FATAL, "cannot rename %s to %s: %s", path, rotated, strerror(error));
        return 1;
    }
    bool running = lockfile_is_held(config);
    if (running && !control_ask(config, "logrotate", &answer)) {
        say(SAY_FATAL, "the supervisor does not answer: %s", strerror(errno));
        return 1;
    }
    str_free(&answer);
    struct timespec pause = {1, 0}; /* every process has written its last lines to the old file by then */
    nanosleep(&pause, NULL);
    const char *program = config_string(config, "maillog_file_compressor");
    const char *arguments[] = {"/bin/sh", "-c", "exec $0 \"$1\"", program, rotated, NULL};
    int status = run_and_wait("/bin/sh", arguments);
    free(rotated);
    return status;
}

static const struct {
    const char *name;
    int (*run)(void);
} commands[] = {
    {"start", do_start},       {"start-fg", do_start_fg}, {"stop", do_stop},     {"abort", do_abort},
    {"reload", do_reload},     {"flush", do_flush},       {"check", do_check},   {"status", do_status},
    {"set-permissions", do_set_permissions},              {"logrotate", do_logrotate},
    {"upgrade-configuration", do_upgrade_configuration},
};

static void usage(void) NORETURN;
static void usage(void)
{
    fprintf(stderr, "postfix: fatal: usage: postfix [-c config_dir] [-Dv] command\n");
    exit(1);
}

int main(int argc, char **argv)
{
    int letter;
    struct log_options early = {.sink = LOG_TO_STDERR, .fd = -1, .component = "postfix"};
    log_open(&early);
    while ((letter = getopt(argc, argv, "+c:Dv")) != -1) {
        if (letter == 'c' && setenv("MAIL_CONFIG", optarg, 1) < 0)
            log_fatal("setenv: %s", strerror(errno));
        if (letter == 'v')
            verbose = true;
        if (letter == '?')
            usage();
    }
    if (optind >= argc)
        usage();
    config = control_load_config();
    /* Whatever runs below has the same configuration, wherever it goes. */
    char *directory = realpath(config_directory(config), NULL);
    if (directory == NULL || setenv("MAIL_CONFIG", directory, 1) < 0)
        log_fatal("%s: %s", config_directory(config), strerror(errno));
    free(directory);
    umask(022);
    open_log();
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, argv[optind]) == 0)
            return commands[i].run();
    say(SAY_FATAL, "unknown command: '%s'. Usage: postfix " COMMANDS, argv[optind]);
    return 1;
}
