/* SPDX-License-Identifier: ISC */
/*
 * postconf_edit_master: changes master.cf: whole entries (-Me, -MX, -M#), fields (-Fe) and the parameters that
 * a service overrides (-Pe, -PX). Entries that no request names, and all comments, stay as they are.
 */
#include <stdlib.h>

#include "commands/postconf.h"
#include "common/base/log.h"
#include "common/base/mem.h"

struct request {
    struct postconf_pattern pattern;
    const char *text;
    const char *value;           /* for ACTION_SET */
    struct postconf_entry entry; /* -Me: the entry to write */
    int column;                  /* -Fe */
};

struct edit {
    const struct postconf_options *options;
    struct arena *arena;
    struct request *requests;
    size_t count;
    struct replacement file;
    unsigned line;
};

/* One entry of the file: its physical lines, comments among them, and its text. */
struct group {
    struct slice lines;
    struct str text;
    unsigned first_line;
};

static bool edits_entries(const struct edit *edit)
{
    return edit->options->subject == SUBJECT_ENTRIES;
}

static void require_pattern(bool ok, enum postconf_subject subject)
{
    if (ok)
        return;
    if (subject == SUBJECT_ENTRIES)
        log_fatal("-Me, -MX or -M# requires service_name/type");
    if (subject == SUBJECT_FIELDS)
        log_fatal("-Fe or -FX requires service_name/type/field_name");
    log_fatal("-Pe or -PX requires service_name/type/parameter");
}

static bool has_blank(const char *text)
{
    return text[strcspn(text, " \t\r\n")] != '\0';
}

static void check_request(struct edit *edit, struct request *request)
{
    bool set = edit->options->action == ACTION_SET;
    if (edit->options->subject == SUBJECT_FIELDS) {
        request->column = postconf_field_column(request->pattern.parts[2]);
        if (request->column < 0)
            log_fatal("-Fe does not accept wild-card field name");
        if (set && request->column < MASTER_COMMAND && has_blank(request->value))
            log_fatal("-Fe does not accept whitespace in non-command field");
    }
    if (edit->options->subject == SUBJECT_PARAMETERS) {
        if (postconf_is_any(request->pattern.parts[2]))
            log_fatal("-Pe does not accept wild-card parameter name");
        if (set && has_blank(request->value))
            log_fatal("-Pe does not accept whitespace in parameter value");
    }
    if (edits_entries(edit) && set)
        request->entry =
            postconf_parse_entry(edit->arena, slice_of(request->value), 0, request->text);
}

static void parse_request(struct edit *edit, const char *text, struct request *request)
{
    struct slice name = slice_trim(slice_of(text)), value = SLICE("");
    const char *why;
    size_t parts = edits_entries(edit) ? 2 : 3;
    if (strchr(text, '\n') != NULL)
        log_fatal("-Me, -Fe, -Pe, -X, or -# accept no multi-line input");
    if (name.len > 0 && name.data[0] == '#')
        log_fatal("-Me, -Fe, -Pe, -X, or -# accept no comment input");
    if (edit->options->action != ACTION_SET) {
        if (strchr(text, '=') != NULL)
            log_fatal("-X or -# requires names without value");
    } else if (!logical_line_split_setting(slice_of(text), &name, &value, &why)) {
        log_fatal("%s: \"%s\"", why, text);
    }
    request->text = text;
    request->value = arena_slice(edit->arena, value);
    require_pattern(postconf_pattern_parse(arena_slice(edit->arena, name), parts, parts,
                                           edit->arena, &request->pattern),
                    edit->options->subject);
    check_request(edit, request);
}

/* Takes the physical lines of one entry, and the comments between them, off the front. */
static void take_group(struct edit *edit, struct slice *rest, struct group *group)
{
    struct slice line, after = *rest;
    const char *start = rest->data, *end = start;
    unsigned lines = 0, counted = 0;
    str_clear(&group->text);
    group->first_line = edit->line + 1;
    while (postconf_next_line(&after, &line)) {
        bool comment = postconf_is_comment(line);
        if (lines > 0 && !comment && !text_is_space(line.data[0]))
            break;
        lines++;
        if (comment)
            continue;
        str_append_slice(&group->text, line);
        end = line.data + line.len;
        counted = lines;
    }
    edit->line += counted;
    group->lines = slice_range(start, (size_t)(end - start));
    *rest = slice_skip(*rest, group->lines.len);
}

static struct master_fields remove_words(struct edit *edit, const struct master_fields *fields,
                                         size_t from, size_t count)
{
    struct master_fields result = {
        .words = arena_alloc_array(edit->arena, fields->count + 1, sizeof *result.words)};
    for (size_t i = 0; i < fields->count; i++)
        if (i < from || i >= from + count)
            result.words[result.count++] = fields->words[i];
    return result;
}

static struct master_fields add_option(struct edit *edit, const struct master_fields *fields,
                                       char *setting)
{
    size_t place = master_fields_first_argument(fields);
    struct master_fields result = {
        .words = arena_alloc_array(edit->arena, fields->count + 3, sizeof *result.words)};
    for (size_t i = 0; i <= fields->count; i++) {
        if (i == place) {
            result.words[result.count++] = arena_strdup(edit->arena, "-o");
            result.words[result.count++] = setting;
        }
        if (i < fields->count)
            result.words[result.count++] = fields->words[i];
    }
    return result;
}

static bool names_setting(const char *setting, const char *name)
{
    size_t len = strlen(name);
    return strncmp(setting, name, len) == 0 && setting[len] == '=';
}

static void edit_parameter(struct edit *edit, const struct request *request,
                           struct master_fields *fields)
{
    const char *name = request->pattern.parts[2];
    char *setting = arena_printf(edit->arena, "%s=%s", name, request->value);
    bool found = false;
    size_t i = master_fields_next_option(fields, MASTER_COLUMNS);
    while (i > 0) {
        if (!names_setting(fields->words[i], name)) {
            i = master_fields_next_option(fields, i + 1);
        } else if (edit->options->action == ACTION_SET) {
            found = true;
            fields->words[i] = setting;
            i = master_fields_next_option(fields, i + 1);
        } else {
            *fields = remove_words(edit, fields, i - 1, 2);
            i = master_fields_next_option(fields, i - 1);
        }
    }
    if (!found && edit->options->action == ACTION_SET)
        *fields = add_option(edit, fields, setting);
}

static void edit_field(struct edit *edit, const struct request *request,
                       struct master_fields *fields)
{
    struct str text = STR_EMPTY;
    if (request->column < MASTER_COMMAND) {
        fields->words[request->column] = arena_strdup(edit->arena, request->value);
        return;
    }
    for (size_t i = 0; i < MASTER_COMMAND; i++)
        str_printf(&text, "%s ", fields->words[i]);
    str_append(&text, request->value);
    *fields = postconf_parse_entry(edit->arena, str_slice(&text), 0, request->text).fields;
    str_free(&text);
}

static bool matches(const struct edit *edit, const struct request *request, const char *name,
                    const char *type)
{
    if (postconf_pattern_matches(&request->pattern, name, type))
        return true;
    const struct master_fields *fields = &request->entry.fields;
    return edits_entries(edit) && edit->options->action == ACTION_SET &&
        strcmp(fields->words[MASTER_NAME], name) == 0 &&
        strcmp(fields->words[MASTER_TYPE], type) == 0;
}

/* The entry's lines with its text lines left out or commented out; its comments stay. */
static void write_comments(struct edit *edit, const struct group *group, bool comment_out)
{
    struct slice rest = group->lines, line;
    while (postconf_next_line(&rest, &line)) {
        bool comment = postconf_is_comment(line);
        if (!comment && comment_out)
            str_append_char(&edit->file.new_text, '#');
        if (comment || comment_out)
            str_append_slice(&edit->file.new_text, line);
    }
}

static void write_entry(struct edit *edit, const struct master_fields *fields)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        mem_exhausted(0);
    postconf_print_entry(stream, true, fields);
    if (fclose(stream) != 0)
        mem_exhausted(size);
    struct str *out = &edit->file.new_text;
    if (out->len > 0 && out->data[out->len - 1] != '\n')
        str_append_char(out, '\n');
    str_append_bytes(out, text, size);
    free(text);
}

/* What becomes of one entry: NULL fields when it is not rewritten. */
static bool apply_requests(struct edit *edit, struct master_fields *fields,
                           const struct master_fields **rewritten)
{
    const char *name = fields->words[MASTER_NAME], *type = fields->words[MASTER_TYPE];
    bool matched = false, set = edit->options->action == ACTION_SET;
    *rewritten = NULL;
    for (size_t i = 0; i < edit->count; i++) {
        struct request *request = &edit->requests[i];
        if (!matches(edit, request, name, type))
            continue;
        matched = true;
        request->pattern.matches++;
        if (edits_entries(edit)) {
            if (set && request->pattern.matches == 1)
                *rewritten = &request->entry.fields;
            continue;
        }
        if (edit->options->subject == SUBJECT_FIELDS)
            edit_field(edit, request, fields);
        else
            edit_parameter(edit, request, fields);
        *rewritten = fields;
    }
    return matched;
}

static void edit_group(struct edit *edit, const struct group *group)
{
    const struct master_fields *rewritten;
    struct postconf_entry entry = postconf_parse_entry(edit->arena, str_slice(&group->text),
                                                       group->first_line, edit->file.path);
    if (!apply_requests(edit, &entry.fields, &rewritten)) {
        str_append_slice(&edit->file.new_text, group->lines);
        return;
    }
    if (rewritten != NULL)
        write_entry(edit, rewritten);
    write_comments(edit, group, edit->options->action == ACTION_COMMENT_OUT);
}

static void edit_entries(struct edit *edit)
{
    struct slice rest = str_slice(&edit->file.old_text), line;
    struct group group = {.text = STR_EMPTY};
    while (rest.len > 0) {
        struct slice after = rest;
        postconf_next_line(&after, &line);
        if (postconf_is_comment(line) || text_is_space(line.data[0])) {
            str_append_slice(&edit->file.new_text, line);
            edit->line++;
            rest = after;
            continue;
        }
        take_group(edit, &rest, &group);
        edit_group(edit, &group);
    }
    str_free(&group.text);
}

static void finish_requests(struct edit *edit)
{
    for (size_t i = 0; i < edit->count; i++) {
        const struct request *request = &edit->requests[i];
        if (request->pattern.matches > 0)
            continue;
        if (edits_entries(edit) && edit->options->action == ACTION_SET)
            write_entry(edit, &request->entry.fields);
        else if (!edits_entries(edit))
            log_warning("unmatched service_name/type: \"%s\"", request->text);
    }
}

void postconf_edit_master(const struct postconf_options *options)
{
    struct edit edit = {.options = options, .arena = arena_new()};
    while (options->arguments[edit.count] != NULL)
        edit.count++;
    edit.requests = arena_alloc_array(edit.arena, edit.count, sizeof *edit.requests);
    for (size_t i = 0; i < edit.count; i++)
        parse_request(&edit, options->arguments[i], &edit.requests[i]);
    replacement_begin(&edit.file, options->directory, "master.cf");
    edit_entries(&edit);
    finish_requests(&edit);
    replacement_commit(&edit.file);
    arena_free(edit.arena);
}
