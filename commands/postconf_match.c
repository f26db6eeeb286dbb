/* SPDX-License-Identifier: ISC */
/* postconf_match: patterns that select services of master.cf: name, name/type, name/type/field. */
#include "commands/postconf.h"
#include "common/base/log.h"

const char *const postconf_field_names[MASTER_COLUMNS] = {
    "service", "type", "private", "unprivileged", "chroot", "wakeup", "process_limit", "command",
};

bool postconf_is_any(const char *part)
{
    return strcmp(part, "*") == 0;
}

bool postconf_pattern_parse(const char *text, size_t least, size_t most, struct arena *arena,
                            struct postconf_pattern *pattern)
{
    struct slice rest = slice_of(text), part;
    size_t count = 0;
    *pattern = (struct postconf_pattern){.text = text, .parts = {"*", "*", "*"}};
    if (text[0] == '/')
        return false;
    while (slice_next_token(&rest, "/", &part)) {
        if (count == most || (part.len > 1 && memchr(part.data, '*', part.len) != NULL))
            return false;
        pattern->parts[count++] = arena_slice(arena, part);
    }
    return count >= least;
}

static bool part_matches(const char *part, const char *text)
{
    return postconf_is_any(part) || strcmp(part, text) == 0;
}

bool postconf_pattern_matches(const struct postconf_pattern *pattern, const char *name,
                              const char *type)
{
    return part_matches(pattern->parts[0], name) && part_matches(pattern->parts[1], type);
}

int postconf_field_column(const char *name)
{
    if (postconf_is_any(name))
        return -1;
    for (int i = 0; i < MASTER_COLUMNS; i++)
        if (strcmp(postconf_field_names[i], name) == 0)
            return i;
    log_fatal("invalid service attribute name: \"%s\"", name);
}
