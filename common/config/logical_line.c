/* SPDX-License-Identifier: ISC */
/*
 * logical_line: joins continuation lines and drops comments. Pure: from bytes to slices. Called by the
 * readers of main.cf and master.cf and by postconf's editor.
 */
#include "common/config/logical_line.h"

static struct slice take_physical_line(struct logical_line_reader *reader)
{
    const char *newline = memchr(reader->rest.data, '\n', reader->rest.len);
    size_t len = newline != NULL ? (size_t)(newline - reader->rest.data) : reader->rest.len;
    struct slice line = slice_range(reader->rest.data, len);
    reader->rest = slice_skip(reader->rest, newline != NULL ? len + 1 : len);
    reader->line++;
    return line;
}

static bool is_comment_or_blank(struct slice line)
{
    size_t i = 0;
    while (i < line.len && text_is_space(line.data[i]))
        i++;
    return i == line.len || line.data[i] == '#';
}

/* A line that begins with white space or a comment does not end the logical line before it. */
static bool may_continue(struct slice rest)
{
    return rest.len > 0 && (rest.data[0] == '#' || text_is_space(rest.data[0]));
}

static void cut_at_nul(struct logical_line *line)
{
    const char *nul = memchr(line->text.data, '\0', line->text.len);
    if (nul != NULL) {
        line->has_nul = true;
        str_truncate(&line->text, (size_t)(nul - line->text.data));
    }
}

bool logical_line_next(struct logical_line_reader *reader, struct logical_line *line)
{
    str_clear(&line->text);
    line->first_line = 0;
    line->has_nul = false;
    while (reader->rest.len > 0) {
        struct slice physical = take_physical_line(reader);
        if (!is_comment_or_blank(physical)) {
            if (line->text.len == 0)
                line->first_line = reader->line;
            str_append_slice(&line->text, physical);
        }
        if (line->text.len > 0 && !may_continue(reader->rest))
            break;
    }
    if (line->text.len == 0)
        return false;
    line->starts_with_space = text_is_space(line->text.data[0]);
    cut_at_nul(line);
    return true;
}

static bool is_name_end(char c)
{
    return c == '=' || text_is_space(c);
}

bool logical_line_split_setting(struct slice text, struct slice *name, struct slice *value,
                                const char **why)
{
    struct slice rest = slice_trim(text);
    size_t len = 0;
    while (len < rest.len && !is_name_end(rest.data[len]))
        len++;
    if (len == 0) {
        *why = "missing attribute name";
        return false;
    }
    *name = slice_range(rest.data, len);
    rest = slice_trim(slice_skip(rest, len));
    if (rest.len == 0 || rest.data[0] != '=') {
        *why = "missing '=' after attribute name";
        return false;
    }
    *value = slice_trim(slice_skip(rest, 1));
    return true;
}
