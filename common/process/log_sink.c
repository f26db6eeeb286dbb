/* SPDX-License-Identifier: ISC */
/*
 * log_sink: opens the log that main.cf asks for. Called by the supervisor (as root: the file may be
 * the only thing a role could not open itself) and by commands. Fails with words, never by exiting.
 */
#include "common/process/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "common/base/mem.h"

static const struct {
    const char *name;
    int facility;
} facilities[] = {
    {"auth", LOG_AUTH},     {"authpriv", LOG_AUTHPRIV}, {"cron", LOG_CRON},     {"daemon", LOG_DAEMON},
    {"ftp", LOG_FTP},       {"kern", LOG_KERN},         {"lpr", LOG_LPR},       {"mail", LOG_MAIL},
    {"news", LOG_NEWS},     {"security", LOG_AUTH},     {"syslog", LOG_SYSLOG}, {"user", LOG_USER},
    {"uucp", LOG_UUCP},     {"local0", LOG_LOCAL0},     {"local1", LOG_LOCAL1}, {"local2", LOG_LOCAL2},
    {"local3", LOG_LOCAL3}, {"local4", LOG_LOCAL4},     {"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6},
    {"local7", LOG_LOCAL7},
};

static const int *find_facility(const struct config *config)
{
    const char *name = config_string(config, "syslog_facility");
    for (size_t i = 0; i < sizeof facilities / sizeof facilities[0]; i++)
        if (strcmp(facilities[i].name, name) == 0)
            return &facilities[i].facility;
    return NULL;
}

bool log_sink_knows_facility(const struct config *config)
{
    return find_facility(config) != NULL;
}

int log_sink_facility(const struct config *config)
{
    const int *facility = find_facility(config);
    if (facility == NULL)
        log_fatal("file %s/main.cf: parameter syslog_facility: unrecognized value: %s", config_directory(config),
                  config_string(config, "syslog_facility"));
    return *facility;
}

enum log_sink log_sink_kind(const struct config *config)
{
    return *config_string(config, "maillog_file") != '\0' ? LOG_TO_FILE : LOG_TO_SYSLOG;
}

/* As Postfix: an admin's typing error must not make root append to any file at all. */
static bool log_sink_is_allowed(const struct config *config, const char *path)
{
    struct arena *arena = arena_new();
    char **prefixes;
    size_t count = config_split_list(config_string(config, "maillog_file_prefixes"), arena, &prefixes);
    bool allowed = false;
    for (size_t i = 0; i < count && !allowed; i++)
        allowed = strncmp(path, prefixes[i], strlen(prefixes[i])) == 0;
    arena_free(arena);
    return allowed;
}

static int log_sink_open_file(const struct config *config, const char *path, char **problem)
{
    if (!log_sink_is_allowed(config, path)) {
        *problem = mem_printf("maillog_file '%s' does not match maillog_file_prefixes=%s", path,
                              config_string(config, "maillog_file_prefixes"));
        return -1;
    }
    if (strcmp(path, "/dev/stdout") == 0) {
        int copy = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
            *problem = mem_printf("cannot log to standard output: %s", strerror(errno));
        return copy;
    }
    mode_t mode = (mode_t)strtoul(config_string(config, "maillog_file_permissions"), NULL, 8) & 0666;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, mode);
    if (fd < 0)
        *problem = mem_printf("open %s: %s", path, strerror(errno));
    return fd;
}

static int log_sink_open_syslog(char **problem)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        *problem = mem_printf("connect to /dev/log: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

int log_sink_open(const struct config *config, char **problem)
{
    *problem = NULL;
    if (log_sink_kind(config) == LOG_TO_FILE)
        return log_sink_open_file(config, config_string(config, "maillog_file"), problem);
    return log_sink_open_syslog(problem);
}

void log_sink_start(const struct config *config, const char *component, enum log_sink sink, int fd, bool verbose)
{
    const char *host = config_string(config, "myhostname");
    size_t short_len = strcspn(host, "."); /* as syslogd and postlogd stamp it */
    char *short_name = mem_strndup(host, short_len);
    struct log_options options = {
        .sink = sink,
        .fd = fd,
        .syslog_name = config_string(config, "syslog_name"),
        .component = component,
        .host_name = short_name,
        .facility = log_sink_facility(config),
        .verbose = verbose,
    };
    log_open(&options);
    free(short_name);
}
