/* SPDX-License-Identifier: ISC */
/*
 * content_writer: the only way message content leaves for a server. A CR in the content cannot be a line
 * end (the spool has none), so it becomes a blank: servers that take a bare CR for a line end are how mail
 * is smuggled (CVE-2023-51764). Pure; cannot fail.
 */
#include "common/smtp/client/content_writer.h"

void content_writer_start(struct content_writer *writer, size_t line_limit)
{
    *writer = (struct content_writer){.line_limit = line_limit == 1 ? 2 : line_limit};
}

static void writer_put_octets(struct content_writer *writer, struct slice octets, bool has_cr, struct str *out)
{
    if (writer->line_len == 0 && octets.data[0] == '.')
        str_append_char(out, '.');
    str_append_slice(out, octets);
    writer->line_len += octets.len;
    if (!has_cr)
        return;
    char *start = out->data + out->len - octets.len;
    for (size_t i = 0; i < octets.len; i++) {
        if (start[i] == '\r')
            start[i] = ' ';
    }
}

/* Octets of one line, without its end. */
static void writer_put_line(struct content_writer *writer, struct slice octets, bool has_cr, struct str *out)
{
    while (octets.len > 0) {
        size_t count = octets.len;
        if (writer->line_limit > 0) {
            if (writer->line_len >= writer->line_limit) {
                str_append_bytes(out, "\r\n ", 3);
                writer->line_len = 1;
                writer->has_folded = true;
            }
            if (count > writer->line_limit - writer->line_len)
                count = writer->line_limit - writer->line_len;
        }
        writer_put_octets(writer, slice_range(octets.data, count), has_cr, out);
        octets = slice_skip(octets, count);
    }
}

void content_writer_add(struct content_writer *writer, struct slice piece, struct str *out)
{
    if (piece.len == 0)
        return;
    bool has_cr = memchr(piece.data, '\r', piece.len) != NULL;
    str_reserve(out, piece.len + piece.len / 16 + 64);
    while (piece.len > 0) {
        const char *end = memchr(piece.data, '\n', piece.len);
        size_t len = end != NULL ? (size_t)(end - piece.data) : piece.len;
        writer_put_line(writer, slice_range(piece.data, len), has_cr, out);
        if (end == NULL)
            return;
        str_append_bytes(out, "\r\n", 2);
        writer->line_len = 0;
        piece = slice_skip(piece, len + 1);
    }
}

void content_writer_finish(struct content_writer *writer, struct str *out)
{
    if (writer->line_len > 0)
        str_append_bytes(out, "\r\n", 2);
    writer->line_len = 0;
    str_append_bytes(out, ".\r\n", 3);
}
