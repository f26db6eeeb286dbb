/* SPDX-License-Identifier: ISC */
/*
 * text_source: the entries of a table's source text. Called by postmap, postalias, texthash: and by hash: when
 * it builds its file or works from memory. Pure but for the warnings; a bad line never spoils the others.
 */
#include "common/table/text_source.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/rfc822_tokens.h"
#include "common/table/utf8.h"

void text_source_open(struct text_source *source, const char *file, enum source_format format,
                      struct slice text)
{
    *source = (struct text_source){.file = file, .format = format, .lines = {.rest = text},
                                   .line = {.text = STR_EMPTY}, .scratch = arena_new()};
}

void text_source_close(struct text_source *source)
{
    str_free(&source->line.text);
    arena_free(source->scratch);
    source->scratch = NULL;
}

void text_source_warn(struct text_source *source, const char *fmt, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0)
        mem_exhausted(0);
    if (source->warn != NULL)
        source->warn(source->context, text);
    else
        log_warning("%s", text);
    free(text);
}

/* The key ends at the first white space outside quotes. */
static size_t key_length(struct slice line, bool *in_quotes)
{
    size_t len = 0;
    *in_quotes = false;
    for (; len < line.len; len++) {
        char c = line.data[len];
        if (c == '\\') {
            if (++len == line.len)
                break;
        } else if (text_is_space(c) && !*in_quotes) {
            break;
        } else if (c == '"') {
            *in_quotes = !*in_quotes;
        }
    }
    return len;
}

static bool parse_map_line(struct text_source *source, struct text_entry *entry)
{
    struct slice line = str_slice(&source->line.text);
    bool in_quotes;
    size_t len = key_length(line, &in_quotes);
    if (in_quotes) {
        text_source_warn(source, "%s, line %u: unbalanced '\"' in '%s' -- ignoring this line", source->file,
                         entry->line, str_text(&source->line.text));
        return false;
    }
    entry->key = slice_range(line.data, len);
    entry->value = slice_trim(slice_skip(line, len));
    if (entry->key.len == 0 || entry->value.len == 0) {
        text_source_warn(source, "%s, line %u: expected format: key whitespace value%s", source->file,
                         entry->line, source->texthash_words ? " -- ignoring this line" : "");
        return false;
    }
    if (entry->key.data[len - 1] == ':')
        text_source_warn(source, "%s, line %u: record is in \"key: value\" format; is this an alias file?",
                         source->file, entry->line);
    return true;
}

static bool parse_alias_line(struct text_source *source, struct text_entry *entry)
{
    struct tokens tokens;
    arena_reset(source->scratch);
    tokens_scan(&tokens, source->scratch, str_slice(&source->line.text));
    size_t colon = tokens_find(&tokens, ':', 0);
    struct tokens key = tokens_part(&tokens, 0, colon == TOKENS_NONE ? 0 : colon);
    if (key.count == 0 || colon + 1 == tokens.count || tokens_find(&key, ',', 0) != TOKENS_NONE) {
        text_source_warn(source, "%s, line %u: need name:value pair", source->file, entry->line);
        return false;
    }
    if (tokens_find(&key, '@', 0) != TOKENS_NONE || tokens_find(&key, '%', 0) != TOKENS_NONE) {
        text_source_warn(source, "%s, line %u: name must be local", source->file, entry->line);
        return false;
    }
    struct str key_text = STR_EMPTY, value_text = STR_EMPTY;
    struct tokens value = tokens_part(&tokens, colon + 1, tokens.count);
    tokens_internalize(&key, &key_text);
    tokens_externalize(&value, &value_text);
    entry->key = slice_of(arena_slice(source->scratch, str_slice(&key_text)));
    entry->value = slice_of(arena_slice(source->scratch, str_slice(&value_text)));
    str_free(&key_text);
    str_free(&value_text);
    return entry->key.len > 0 || entry->value.len > 0;
}

bool text_source_next(struct text_source *source, struct text_entry *entry)
{
    while (logical_line_next(&source->lines, &source->line)) {
        entry->line = source->line.first_line;
        if (source->line.starts_with_space) {
            struct slice text = slice_trim(str_slice(&source->line.text));
            text_source_warn(source, "%s, line %u: logical line must not start with whitespace: \"%.30s%s\"",
                             source->file, entry->line, text.data, text.len > 30 ? "..." : "");
            continue;
        }
        if (source->only_utf8 && !utf8_is_valid(str_slice(&source->line.text))) {
            text_source_warn(source, "%s, line %u: non-UTF-8 input \"%s\" -- ignoring this line", source->file,
                             entry->line, str_text(&source->line.text));
            continue;
        }
        bool good = source->format == SOURCE_ALIASES ? parse_alias_line(source, entry)
                                                     : parse_map_line(source, entry);
        if (good && (source->transform == NULL || source->transform(source, entry)))
            return true;
    }
    return false;
}
