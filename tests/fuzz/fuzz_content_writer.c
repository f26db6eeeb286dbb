/* SPDX-License-Identifier: ISC */
/*
 * Content on its way to a server. Whatever it is and however it is cut: line ends are CRLF, the end of data
 * comes once, at the end, and a server that undoes the dots gets the same text.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/smtp/client/content_writer.h"

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_line_ends(const struct str *out)
{
    for (size_t i = 0; i < out->len; i++) {
        if (out->data[i] == '\r')
            check(i + 1 < out->len && out->data[i + 1] == '\n');
        if (out->data[i] == '\n')
            check(i > 0 && out->data[i - 1] == '\r');
    }
}

/* Reads it as a server does. */
static void unstuff(const struct str *out, size_t limit, struct str *text)
{
    struct slice rest = str_slice(out);
    for (;;) {
        const char *end = memmem(rest.data, rest.len, "\r\n", 2);
        check(end != NULL);
        struct slice line = slice_range(rest.data, (size_t)(end - rest.data));
        rest = slice_skip(rest, line.len + 2);
        if (slice_equal(line, SLICE(".")))
            break;
        if (line.len > 0 && line.data[0] == '.')
            line = slice_skip(line, 1);
        check(limit == 0 || line.len <= limit);
        str_append_slice(text, line);
        str_append_char(text, '\n');
    }
    check(rest.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t limit = data[0], piece = (size_t)data[1] + 1;
    struct slice content = slice_range((const char *)data + 2, size - 2), rest = content;
    struct content_writer writer;
    struct str out = STR_EMPTY, text = STR_EMPTY, wanted = STR_EMPTY;
    content_writer_start(&writer, limit);
    while (rest.len > 0) {
        size_t len = rest.len < piece ? rest.len : piece;
        content_writer_add(&writer, slice_range(rest.data, len), &out);
        rest = slice_skip(rest, len);
    }
    content_writer_finish(&writer, &out);
    check_line_ends(&out);
    unstuff(&out, limit == 1 ? 2 : limit, &text);
    str_append_slice(&wanted, content);
    for (size_t i = 0; i < wanted.len; i++)
        if (wanted.data[i] == '\r')
            wanted.data[i] = ' ';
    if (wanted.len > 0 && wanted.data[wanted.len - 1] != '\n')
        str_append_char(&wanted, '\n');
    if (!writer.has_folded)
        check(slice_equal(str_slice(&wanted), str_slice(&text)));
    str_free(&out);
    str_free(&text);
    str_free(&wanted);
    return 0;
}
