/* SPDX-License-Identifier: ISC */
/*
 * control_client: one question to the supervisor. Used by postfix and posthorn with the rights of whoever typed the
 * command; the supervisor decides whether they suffice. Every wait is bounded.
 */
#include "commands/control_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define ANSWER_MS 60000

/* By working directory: the full path may be longer than a socket address takes. */
static int control_connect(const struct config *config)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "pid/control"};
    if (chdir(config_string(config, "queue_directory")) < 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int saved = errno;
        close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

static bool read_answer(int fd, struct str *answer)
{
    char data[8192];
    int64_t deadline = deadline_in_ms(ANSWER_MS);
    for (;;) {
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - clock_ms();
        if (left <= 0 || poll(&poller, 1, (int)left) == 0) {
            errno = ETIMEDOUT;
            return false;
        }
        ssize_t len = read(fd, data, sizeof data);
        if (len == 0)
            return true;
        if (len < 0 && errno != EINTR)
            return false;
        if (len > 0)
            str_append_bytes(answer, data, (size_t)len);
    }
}

bool control_ask(const struct config *config, const char *word, struct str *answer)
{
    int fd = control_connect(config);
    if (fd < 0)
        return false;
    char *line = mem_printf("%s\n", word);
    bool works = send(fd, line, strlen(line), MSG_NOSIGNAL) == (ssize_t)strlen(line) && read_answer(fd, answer);
    int saved = errno;
    free(line);
    close(fd);
    errno = saved;
    return works;
}

struct config *control_load_config(void)
{
    struct config_problems problems = {NULL, 0};
    const char *directory = getenv("MAIL_CONFIG");
    struct config *config = config_load(directory != NULL ? directory : POSTHORN_CONFIG_DIRECTORY, &problems);
    if (config == NULL)
        log_fatal("%s", problems.count > 0 ? problems.list[0].text : "no configuration");
    config_problems_free(&problems);
    return config;
}
