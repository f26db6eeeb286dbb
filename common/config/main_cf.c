/* SPDX-License-Identifier: ISC */
/*
 * main_cf: settings out of main.cf's text. A line that cannot be understood is a problem with its
 * line number and is left out; the rest stays usable. Called by config_load, which holds the rights to read the
 * file.
 */
#include "common/config/main_cf.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/config/config_internal.h"
#include "common/config/logical_line.h"

/* Facts about the running program; a setting of theirs is ignored. */
static bool is_read_only(const char *name)
{
    return strcmp(name, "process_name") == 0 || strcmp(name, "process_id") == 0 ||
        strcmp(name, "service_name") == 0;
}

static void add_setting(struct config *config, struct slice name, struct slice value,
                        struct config_origin where, struct config_problems *problems)
{
    char *name_text = arena_slice(config->arena, name);
    if (is_read_only(name_text)) {
        where.line = 0;
        config_problems_add(problems, where, false, "read-only parameter assignment: %s=%.*s",
                            name_text, SLICE_ARGS(value));
        return;
    }
    const struct config_entry *earlier = config_find(config, name_text);
    if (earlier != NULL && !slice_equal(slice_of(earlier->value), value))
        config_problems_add(problems, where, false, "overriding earlier entry: %s=%s", name_text,
                            earlier->value);
    config_put(config, name, value, where);
}

static void parse_line(struct config *config, const struct logical_line *line,
                       struct config_origin where, struct config_problems *problems)
{
    struct slice text = str_slice(&line->text), name, value;
    const char *why;
    if (line->has_nul)
        config_problems_add(problems, where, false, "text after null byte may be ignored");
    if (line->starts_with_space)
        config_problems_add(problems, where, false,
                            "logical line must not start with whitespace: \"%.30s%s\"",
                            str_text(&line->text), text.len > 30 ? "..." : "");
    else if (!logical_line_split_setting(text, &name, &value, &why))
        config_problems_add(problems, where, true, "%s: \"%s\"", why, str_text(&line->text));
    else
        add_setting(config, name, value, where, problems);
}

void main_cf_parse(const char *file, struct slice text, struct config *config,
                   struct config_problems *problems)
{
    struct logical_line_reader reader = {.rest = text};
    struct logical_line line = {.text = STR_EMPTY};
    struct config_origin where = {.file = arena_strdup(config->arena, file)};
    size_t settings = 0;
    while (logical_line_next(&reader, &line)) {
        where.line = line.first_line;
        if (settings++ == MAIN_CF_MAX_SETTINGS) {
            config_problems_add(problems, where, true, "too many settings");
            break;
        }
        parse_line(config, &line, where, problems);
    }
    str_free(&line.text);
}

static bool read_all(int fd, struct str *content)
{
    for (;;) {
        char chunk[16384];
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return false;
        if (got == 0)
            return true;
        str_append_bytes(content, chunk, (size_t)got);
        if (content->len > MAIN_CF_MAX_BYTES) {
            errno = EFBIG;
            return false;
        }
    }
}

bool config_read_file(const char *path, struct str *content)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return false;
    bool ok = read_all(fd, content);
    int saved = errno;
    if (close(fd) < 0 && ok)
        return false;
    errno = saved;
    return ok;
}
