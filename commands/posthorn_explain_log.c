/* SPDX-License-Identifier: ISC */
/*
 * posthorn_explain_log: reads who a client was from the lines that smtpd, qmgr and the delivery agents log, ours or
 * Postfix's. Only what a line says is taken over; the rest is asked for or found out anew.
 */
#include "commands/posthorn_explain.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/mem.h"

/* --- one line (pure) ------------------------------------------------------------------------------ */

static const char *find_text(struct slice text, const char *what)
{
    return text.len > 0 ? memmem(text.data, text.len, what, strlen(what)) : NULL;
}

/* What stands behind MARK, up to one of the ends or the end of the line; "" when the mark is missing. */
static char *value_behind(struct slice text, const char *mark, const char *ends, struct arena *arena)
{
    const char *found = find_text(text, mark);
    if (found == NULL)
        return arena_strdup(arena, "");
    struct slice rest = slice_skip(text, (size_t)(found - text.data) + strlen(mark));
    size_t len = 0;
    while (len < rest.len && strchr(ends, rest.data[len]) == NULL)
        len++;
    return arena_strndup(arena, rest.data, len);
}

/* "name[address]" or "name[address]:port". */
static void take_client(struct slice text, struct arena *arena, struct explain_logged *logged)
{
    const char *open = text.len > 0 ? memchr(text.data, '[', text.len) : NULL;
    if (open == NULL)
        return;
    size_t at = (size_t)(open - text.data);
    struct slice rest = slice_skip(text, at + 1);
    const char *close = rest.len > 0 ? memchr(rest.data, ']', rest.len) : NULL;
    if (close == NULL)
        return;
    logged->name = arena_strndup(arena, text.data, at);
    logged->address = arena_strndup(arena, rest.data, (size_t)(close - rest.data));
}

/* "Nov 22 01:02:03 host postfix/smtpd[12]: rest": the process, and what it says. */
static bool split_line(struct slice line, struct arena *arena, char **process, struct slice *text)
{
    for (size_t i = 0; i + 2 < line.len; i++) {
        size_t open = i, start;
        if (memcmp(line.data + i, "]: ", 3) != 0)
            continue;
        while (open > 0 && text_is_digit(line.data[open - 1]))
            open--;
        if (open == i || open == 0 || line.data[open - 1] != '[')
            return false;
        for (start = open - 1; start > 0 && line.data[start - 1] != ' '; start--)
            continue;
        *process = arena_strndup(arena, line.data + start, open - 1 - start);
        *text = slice_skip(line, i + 3);
        return true;
    }
    return false;
}

bool explain_parse_log_line(struct slice line, struct arena *arena, struct explain_logged *logged)
{
    struct slice text;
    char *empty = arena_strdup(arena, "");
    *logged = (struct explain_logged){empty, empty, empty, empty, empty, empty, empty, empty, false};
    if (!split_line(slice_trim(line), arena, &logged->process, &text))
        return false;
    const char *colon = find_text(text, ": ");
    if (colon == NULL)
        return false;
    logged->queue_id = arena_strndup(arena, text.data, (size_t)(colon - text.data));
    struct slice rest = slice_skip(text, (size_t)(colon - text.data) + 2);
    logged->login = value_behind(rest, "sasl_username=", ", <>", arena);
    logged->is_refusal = slice_starts_with_nocase(rest, SLICE("reject: ")) || slice_starts_with_nocase(rest, SLICE("reject_warning: "));
    if (slice_starts_with_nocase(rest, SLICE("client="))) {
        take_client(slice_skip(rest, 7), arena, logged);
        return true;
    }
    const char *from = find_text(rest, " from ");
    if (logged->is_refusal && from != NULL)
        take_client(slice_skip(rest, (size_t)(from - rest.data) + 6), arena, logged);
    /* The tail: "; from=<> to=<> proto=ESMTP helo=<>"; the texts before it may hold anything. */
    const char *tail = find_text(rest, "; from=<");
    struct slice end = logged->is_refusal && tail != NULL ? slice_skip(rest, (size_t)(tail - rest.data)) : rest;
    logged->sender = value_behind(end, "from=<", ">", arena);
    logged->recipient = find_text(end, "orig_to=<") != NULL ? value_behind(end, "orig_to=<", ">", arena) :
                        value_behind(end, "to=<", ">", arena);
    logged->helo = value_behind(end, "helo=<", ">", arena);
    return true;
}

/* --- a line, or all lines of a queue id ------------------------------------------------------------ */

static void take_over(char **slot, char *value)
{
    if (*slot == NULL && *value != '\0')
        *slot = value;
}

static void fill_request(struct explain *explain, const struct explain_logged *logged)
{
    struct explain_request *request = &explain->request;
    take_over(&request->address, logged->address);
    take_over(&request->name, logged->name);
    take_over(&request->helo, logged->helo);
    take_over(&request->login, logged->login);
    take_over(&request->recipient, logged->recipient);
    take_over(&request->sender, logged->sender);
}

/* "postfix/submission/smtpd" is logged by the service whose syslog_name is "postfix/submission". */
static const char *syslog_name_of(struct arena *arena, const char *process)
{
    const char *slash = strrchr(process, '/');
    return arena_strndup(arena, process, slash != NULL ? (size_t)(slash - process) : 0);
}

static bool take_line(struct explain *explain, const char *line, const char **process)
{
    struct explain_logged logged;
    struct arena *arena = explain->check.arena;
    if (!explain_parse_log_line(slice_of(line), arena, &logged) || *logged.address == '\0') {
        fputs("posthorn: that line names no client: give a line of smtpd with \"reject:\" or \"client=\"\n", stderr);
        return false;
    }
    fill_request(explain, &logged);
    *process = syslog_name_of(arena, logged.process);
    return true;
}

static FILE *open_log(const struct explain *explain, const char *file)
{
    const char *configured = check_value(&explain->check.views[0], "maillog_file");
    const char *const usual[] = {file, *configured == '/' ? configured : NULL, "/var/log/mail.log", "/var/log/maillog"};
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        FILE *stream = usual[i] != NULL ? fopen(usual[i], "re") : NULL;
        if (stream != NULL)
            return stream;
        if (i == 0 && file != NULL)
            break;
    }
    fprintf(stderr, "posthorn: %s: %s\n", file != NULL ? file : "no log file found: name it with --log-file", strerror(errno));
    return NULL;
}

/* A refusal says everything itself; a message's lines each say a part. */
static bool take_queue_id(struct explain *explain, const char *queue_id, const char *file, const char **process)
{
    struct arena *arena = explain->check.arena;
    FILE *stream = open_log(explain, file);
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    if (stream == NULL)
        return false;
    while ((len = getline(&line, &room, stream)) > 0) {
        struct explain_logged logged;
        if (strstr(line, queue_id) == NULL || !explain_parse_log_line(slice_range(line, (size_t)len), arena, &logged) ||
            strcmp(logged.queue_id, queue_id) != 0)
            continue;
        if (*logged.address != '\0')
            *process = syslog_name_of(arena, logged.process);
        fill_request(explain, &logged);
    }
    free(line);
    if (fclose(stream) != 0 || explain->request.address == NULL) {
        fprintf(stderr, "posthorn: the log has no client for %s\n", queue_id);
        return false;
    }
    return true;
}

bool explain_read_log(struct explain *explain, const char *what, const char *file, const char **process)
{
    if (strcmp(what, "-") == 0) {
        char *line = NULL;
        size_t room = 0;
        bool has_line = getline(&line, &room, stdin) > 0, works = has_line && take_line(explain, line, process);
        if (!has_line)
            fputs("posthorn: no line on standard input\n", stderr);
        free(line);
        return works;
    }
    if (strchr(what, ' ') != NULL)
        return take_line(explain, what, process);
    return take_queue_id(explain, what, file, process);
}
