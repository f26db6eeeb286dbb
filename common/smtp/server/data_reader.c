/* SPDX-License-Identifier: ISC */
/*
 * data_reader: line by line with memchr over the stream's window; one copy, no allocation of its own. Called
 * by DATA and BDAT. A line longer than the window is taken in pieces.
 */
#include "common/smtp/server/data_reader.h"

/* CRs in a row that wait for the LF which would make them its line end; more are stray. */
#define CR_RUN_LIMIT 8192

void data_reader_init(struct data_reader *reader, bool is_chunk)
{
    *reader = (struct data_reader){.is_chunk = is_chunk};
}

/* A CR that ends no line would be a line end to some other server: it becomes a blank. */
static void append_text(const struct data_reader *reader, struct slice text, struct str *out)
{
    size_t start = out->len;
    str_append_slice(out, text);
    if (reader->keep_bare_cr || text.len == 0)
        return;
    char *at = out->data + start;
    char *end = out->data + out->len;
    while ((at = memchr(at, '\r', (size_t)(end - at))) != NULL) {
        while (at < end && *at == '\r')
            *at++ = ' ';
        if (at == end)
            return;
    }
}

/* Postfix drops a run of CRs before the LF; so do we. */
static struct slice strip_line_end(struct slice line, bool *has_cr)
{
    line.len--;
    *has_cr = line.len > 0 && line.data[line.len - 1] == '\r';
    while (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    return line;
}

/* One line with its LF. Returns true when it ends the message. */
static bool take_line(struct data_reader *reader, struct slice line, struct str *out)
{
    bool has_cr, drop = false;
    size_t raw_length = line.len;
    bool was_inside = reader->inside_line, was_bare = reader->after_bare_lf;
    struct slice text = strip_line_end(line, &has_cr);
    has_cr |= reader->pending_crs > 0;
    reader->pending_crs = 0;
    reader->inside_line = false;
    reader->after_bare_lf = !has_cr;
    reader->saw_bare_lf |= !has_cr;
    reader->wire_bytes += reader->line_bytes + text.len + 2;
    reader->line_bytes = 0;
    if (!reader->is_chunk && !was_inside && text.len > 0 && text.data[0] == '.') {
        text = slice_skip(text, 1);
        if (text.len == 0 && (reader->any_dot_ends || (raw_length == 3 && has_cr && !was_bare)))
            return true;
        drop = text.len == 0; /* looks like an end and is none: nobody behind us shall see it */
    }
    if (!drop) {
        append_text(reader, text, out);
        str_append_char(out, '\n');
    }
    return false;
}

/* The rest of a chunk: all of it is taken, and whether its last CR ends a line the next chunk tells. */
static size_t take_chunk_part(struct data_reader *reader, struct slice part, struct str *out)
{
    struct slice text = part;
    while (text.len > 0 && text.data[text.len - 1] == '\r') {
        reader->pending_crs++;
        text.len--;
    }
    append_text(reader, text, out);
    reader->inside_line = true;
    reader->line_bytes += text.len;
    return part.len;
}

/* The beginning of a line whose end has not come: takes what is surely text. */
static size_t take_part(struct data_reader *reader, struct slice part, struct str *out)
{
    size_t len = part.len;
    while (len > 0 && part.data[len - 1] == '\r')
        len--;
    size_t least = reader->inside_line ? 1 : 4; /* less may yet become an end of data */
    if (len < least && part.len > CR_RUN_LIMIT)
        len = part.len - 1;
    if (len < least)
        return 0;
    struct slice text = slice_range(part.data, len);
    if (!reader->inside_line && text.data[0] == '.')
        text = slice_skip(text, 1);
    append_text(reader, text, out);
    reader->inside_line = true;
    reader->line_bytes += len;
    return len;
}

/* CRs from before this window that turn out to end no line. */
static void flush_pending_crs(struct data_reader *reader, struct slice window, struct str *out)
{
    size_t run = 0;
    while (run < window.len && window.data[run] == '\r')
        run++;
    bool is_stray = run < window.len ? window.data[run] != '\n' : reader->pending_crs > CR_RUN_LIMIT;
    if (!is_stray)
        return;
    for (; reader->pending_crs > 0; reader->pending_crs--) {
        append_text(reader, SLICE("\r"), out);
        reader->line_bytes++;
    }
}

size_t data_reader_feed(struct data_reader *reader, struct slice window, struct str *out, bool *ended)
{
    struct slice rest = window;
    str_reserve(out, window.len);
    *ended = false;
    flush_pending_crs(reader, window, out);
    while (rest.len > 0) {
        const char *end = memchr(rest.data, '\n', rest.len);
        if (end == NULL)
            return window.len - rest.len +
                   (reader->is_chunk ? take_chunk_part(reader, rest, out) : take_part(reader, rest, out));
        size_t len = (size_t)(end - rest.data) + 1;
        *ended = take_line(reader, slice_range(rest.data, len), out);
        rest = slice_skip(rest, len);
        if (*ended)
            break;
    }
    return window.len - rest.len;
}

void data_reader_finish(struct data_reader *reader, struct str *out)
{
    if (!reader->inside_line)
        return;
    reader->pending_crs = 0;
    str_append_char(out, '\n');
    reader->wire_bytes += reader->line_bytes + 2;
    reader->line_bytes = 0;
    reader->inside_line = false;
}
