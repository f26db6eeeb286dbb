/* SPDX-License-Identifier: ISC */
/*
 * postconf_edit_main: sets (-e), deletes (-X) or comments out (-#) parameters of main.cf. Comments, order and
 * everything else stay as they are; new parameters go to the end.
 */
#include <stdlib.h>

#include "commands/postconf.h"
#include "common/base/log.h"
#include "common/base/mem.h"

struct request {
    char *name;
    char *value; /* NULL unless it is set */
    unsigned found;
};

struct requests {
    struct arena *arena;
    struct request *list;
    size_t count;
};

static struct request *find_request(const struct requests *requests, struct slice name)
{
    for (size_t i = 0; i < requests->count; i++)
        if (slice_equal(slice_of(requests->list[i].name), name))
            return &requests->list[i];
    return NULL;
}

static struct request parse_request(enum postconf_action action, const char *text,
                                    struct arena *arena)
{
    struct slice trimmed = slice_trim(slice_of(text)), name, value;
    const char *why;
    if (strchr(text, '\n') != NULL)
        log_fatal("-e, -X, or -# accepts no multi-line input");
    if (trimmed.len > 0 && trimmed.data[0] == '#')
        log_fatal("-e, -X, or -# accepts no comment input");
    if (action == ACTION_SET) {
        if (!logical_line_split_setting(trimmed, &name, &value, &why))
            log_fatal("%s: \"%.*s\"", why, SLICE_ARGS(trimmed));
        return (struct request){arena_slice(arena, name), arena_slice(arena, value), 0};
    }
    if (trimmed.len == 0)
        log_fatal("-X or -# requires non-blank parameter names");
    if (strchr(text, '=') != NULL)
        log_fatal("-X or -# requires parameter names without value");
    return (struct request){arena_slice(arena, trimmed), NULL, 0};
}

static void add_request(struct requests *requests, struct request request)
{
    struct request *earlier = find_request(requests, slice_of(request.name));
    if (earlier != NULL) {
        log_warning("ignoring earlier request: '%s = %s'", earlier->name,
                    earlier->value != NULL ? earlier->value : "");
        *earlier = request;
        return;
    }
    requests->list =
        mem_realloc_array(requests->list, requests->count + 1, sizeof *requests->list);
    requests->list[requests->count++] = request;
}

static struct slice name_of(struct slice line)
{
    size_t len = 0;
    while (len < line.len && line.data[len] != '=' && !text_is_space(line.data[len]))
        len++;
    return slice_range(line.data, len);
}

static void write_setting(struct str *out, const struct request *request)
{
    str_printf(out, "%s = %s\n", request->name, request->value);
}

static void comment_out(struct str *out, struct slice line)
{
    str_append_char(out, '#');
    str_append_slice(out, line);
}

/* The first physical line of a setting. Returns whether the setting is one of the requests'. */
static bool edit_setting(const struct postconf_options *options, struct requests *requests,
                         struct slice line, struct replacement *file)
{
    struct request *request = find_request(requests, name_of(line));
    if (request == NULL) {
        str_append_slice(&file->new_text, line);
        return false;
    }
    if (request->found++ == 1)
        log_warning("%s: multiple entries for \"%s\"", file->path, request->name);
    if (options->action == ACTION_SET)
        write_setting(&file->new_text, request);
    else if (options->action == ACTION_COMMENT_OUT)
        comment_out(&file->new_text, line);
    return true;
}

static void edit_lines(const struct postconf_options *options, struct requests *requests,
                       struct replacement *file)
{
    struct slice rest = str_slice(&file->old_text), line;
    bool requested = false;
    while (postconf_next_line(&rest, &line)) {
        if (postconf_is_comment(line)) {
            str_append_slice(&file->new_text, line);
        } else if (!text_is_space(line.data[0])) {
            requested = edit_setting(options, requests, line, file);
        } else if (!requested) {
            str_append_slice(&file->new_text, line);
        } else if (options->action == ACTION_COMMENT_OUT) {
            comment_out(&file->new_text, line);
        }
    }
}

static void append_new_settings(const struct requests *requests, struct str *out)
{
    for (size_t i = 0; i < requests->count; i++) {
        if (requests->list[i].found > 0)
            continue;
        if (out->len > 0 && out->data[out->len - 1] != '\n')
            str_append_char(out, '\n');
        write_setting(out, &requests->list[i]);
    }
}

void postconf_edit_main(const struct postconf_options *options)
{
    struct requests requests = {.arena = arena_new()};
    struct replacement file;
    for (char **text = options->arguments; *text != NULL; text++)
        add_request(&requests, parse_request(options->action, *text, requests.arena));
    replacement_begin(&file, options->directory, "main.cf");
    edit_lines(options, &requests, &file);
    if (options->action == ACTION_SET)
        append_new_settings(&requests, &file.new_text);
    replacement_commit(&file);
    free(requests.list);
    arena_free(requests.arena);
}
