/* SPDX-License-Identifier: ISC */
/*
 * posthorn_explain_ask: takes the question to the service and brings the events back: over pid/control to the running
 * server, or to a supervisor of our own that starts just this service with the configuration on disk ("master -x").
 */
#include "commands/posthorn_explain.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands/control_client.h"
#include "common/base/clock.h"
#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/process/layout.h"

#define ANSWER_MS 150000
#define ANSWER_LIMIT (32u * 1024 * 1024)

static bool take_answer(struct explain *explain, struct slice answer)
{
    struct str bytes = STR_EMPTY;
    bool works = slice_starts_with_nocase(answer, SLICE("ok "));
    struct slice hex = slice_trim(slice_skip(answer, works ? 3 : answer.len));
    works = works && str_decode_hex(&bytes, hex) && trace_events_decode(str_slice(&bytes), explain->check.arena, &explain->events, &explain->count);
    if (!works)
        fprintf(stderr, "posthorn: %.*s\n", answer.len > 0 ? (int)slice_trim(answer).len : 9, answer.len > 0 ? answer.data : "no answer");
    str_free(&bytes);
    return works;
}

static bool ask_running(struct explain *explain, const char *hex)
{
    struct str answer = STR_EMPTY;
    char *line = mem_printf("explain %s %s", explain->service, hex);
    bool works = control_ask(explain->check.config, line, &answer);
    if (!works)
        fprintf(stderr, "posthorn: the running mail system cannot be asked: %s (without --live the configuration is tried)\n",
                strerror(errno));
    works = works && take_answer(explain, str_slice(&answer));
    free(line);
    str_free(&answer);
    return works;
}

/* --- a supervisor of our own ----------------------------------------------------------------------- */

static void child_exec(const char *path, const char *service, int input, int output, int errors) NORETURN;
static void child_exec(const char *path, const char *service, int input, int output, int errors)
{
    if (dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 && dup2(errors, STDERR_FILENO) >= 0)
        execl(path, "master", "-x", service, (char *)NULL);
    dprintf(STDERR_FILENO, "fatal: %s: %s\n", path, strerror(errno));
    _exit(127);
}

/* Both pipes to their ends, whichever has something. False: too long or too much. */
static bool collect(int output, int errors, struct str *answer, struct str *complaints)
{
    struct pollfd pollers[2] = {{.fd = output, .events = POLLIN}, {.fd = errors, .events = POLLIN}};
    struct str *const targets[2] = {answer, complaints};
    int64_t deadline = deadline_in_ms(ANSWER_MS);
    while (pollers[0].fd >= 0 || pollers[1].fd >= 0) {
        int64_t left = deadline - clock_ms();
        if (left <= 0 || poll(pollers, 2, (int)left) <= 0 || answer->len + complaints->len > ANSWER_LIMIT)
            return false;
        for (int i = 0; i < 2; i++) {
            char data[8192];
            if (pollers[i].fd < 0 || pollers[i].revents == 0)
                continue;
            ssize_t len = read(pollers[i].fd, data, sizeof data);
            if (len > 0)
                str_append_bytes(targets[i], data, (size_t)len);
            else if (len == 0 || errno != EINTR)
                pollers[i].fd = -1;
        }
    }
    return true;
}

/* The supervisor's and the roles' own lines, without their stamps: what went wrong, not that it started. */
static void print_complaints(const struct str *complaints)
{
    static const char *const labels[] = {"warning: ", "error: ", "fatal: ", "panic: "};
    struct slice rest = str_slice(complaints), line;
    while (slice_next_token(&rest, "\n", &line)) {
        const char *text = str_text(complaints) + (line.data - str_text(complaints)), *found = NULL;
        for (size_t i = 0; i < sizeof labels / sizeof labels[0] && found == NULL; i++)
            found = memmem(text, line.len, labels[i], strlen(labels[i]));
        if (found != NULL && memmem(found, line.len - (size_t)(found - text), "is not supported yet", 20) == NULL)
            fprintf(stderr, "posthorn: %.*s\n", (int)(line.len - (size_t)(found - text)), found);
    }
}

static bool run_supervisor(const char *path, const char *service, const char *hex, struct str *answer, struct str *complaints)
{
    int input[2], output[2], errors[2];
    if (pipe2(input, O_CLOEXEC) < 0 || pipe2(output, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0)
        return false;
    pid_t child = fork();
    if (child < 0)
        return false;
    if (child == 0)
        child_exec(path, service, input[0], output[1], errors[1]);
    close(input[0]);
    close(output[1]);
    close(errors[1]);
    /* A request is smaller than a pipe: this does not block. */
    bool works = write(input[1], hex, strlen(hex)) == (ssize_t)strlen(hex);
    close(input[1]);
    works = collect(output[0], errors[0], answer, complaints) && works;
    close(output[0]);
    close(errors[0]);
    if (!works)
        kill(child, SIGTERM);
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return works;
}

static bool ask_private(struct explain *explain, const char *hex)
{
    struct str answer = STR_EMPTY, complaints = STR_EMPTY;
    char *directory = layout_daemon_directory(explain->check.config), *path = mem_printf("%s/master", directory);
    bool works = setenv("MAIL_CONFIG", config_directory(explain->check.config), 1) == 0 &&
                 run_supervisor(path, explain->service, hex, &answer, &complaints);
    print_complaints(&complaints);
    works = works && take_answer(explain, str_slice(&answer));
    free(directory);
    free(path);
    str_free(&answer);
    str_free(&complaints);
    return works;
}

/* --- what the running server remembers ---------------------------------------------------------------- */

/* A dry run has no memory of its own. When nobody answers, or may not be asked, nothing is known. */
static void recall_addresses(struct explain *explain, const char *hex)
{
    struct explain_request *request = &explain->request;
    struct str answer = STR_EMPTY;
    struct explain asked = {.check = {.arena = explain->check.arena}};
    char *line = mem_printf("explain %s %s", explain->service, hex);
    if (control_ask(explain->check.config, line, &answer) && slice_starts_with_nocase(str_slice(&answer), SLICE("ok ")) &&
        take_answer(&asked, str_slice(&answer)))
        for (size_t i = 0; i < asked.count; i++) {
            char *known = (char *)(uintptr_t)asked.events[i].result;
            if (strcmp(asked.events[i].text, request->sender) == 0)
                request->known_sender = known;
            if (strcmp(asked.events[i].text, request->recipient) == 0)
                request->known_recipient = known;
        }
    free(line);
    str_free(&answer);
}

/* False: too long. */
static bool encode_request(const struct explain_request *request, struct str *hex)
{
    struct str body = STR_EMPTY;
    explain_request_encode(request, &body);
    bool fits = body.len <= EXPLAIN_REQUEST_LIMIT;
    str_clear(hex);
    str_append_hex(hex, str_slice(&body));
    str_free(&body);
    if (!fits)
        fputs("posthorn: the arguments are too long\n", stderr);
    return fits;
}

static bool ask_dry(struct explain *explain, struct str *hex)
{
    explain->request.only_recalls = true;
    bool works = encode_request(&explain->request, hex);
    explain->request.only_recalls = false;
    if (!works)
        return false;
    recall_addresses(explain, str_text(hex));
    return encode_request(&explain->request, hex) && ask_private(explain, str_text(hex));
}

bool explain_ask(struct explain *explain)
{
    struct str hex = STR_EMPTY;
    bool works = explain->is_live ? encode_request(&explain->request, &hex) && ask_running(explain, str_text(&hex)) :
                                    ask_dry(explain, &hex);
    str_free(&hex);
    return works;
}
