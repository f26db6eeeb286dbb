/* SPDX-License-Identifier: ISC */
/*
 * virtual message: the octets that go into a mailbox. Called with the owner's ids and an open file; a short
 * write is an error like any other, and the caller removes what was written.
 */
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/mail/quote.h"
#include "virtual/virtual.h"

void message_put_header(const struct delivery *delivery, const struct recipient *to, struct str *out)
{
    str_append(out, "Return-Path: <");
    quote_append_address(out, delivery->envelope.sender);
    str_append(out, ">\n");
    if (virtual_settings.adds_original && to->original[0] != '\0') {
        str_append(out, "X-Original-To: ");
        quote_append_address(out, to->original);
        str_append(out, "\n");
    }
    str_append(out, "Delivered-To: ");
    quote_append_address(out, to->address);
    str_append(out, "\n");
}

/* --- writing -------------------------------------------------------------------------- */

static bool write_all(int fd, struct slice first, struct slice second)
{
    while (first.len + second.len > 0) {
        struct iovec pieces[2] = {{(void *)first.data, first.len}, {(void *)second.data, second.len}};
        ssize_t n = writev(fd, pieces, 2);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = ENOSPC;
            return false;
        }
        size_t from_first = (size_t)n < first.len ? (size_t)n : first.len;
        first = slice_skip(first, from_first);
        second = slice_skip(second, (size_t)n - from_first);
    }
    return true;
}

/* Copies text with "From " at the start of a line quoted. A line start too short to tell waits in *carry. */
static void quote_from_lines(struct slice text, bool *at_line_start, struct str *carry, struct str *out)
{
    static const struct slice from = {"From ", 5};
    struct str joined = *carry;
    *carry = STR_EMPTY;
    str_append_slice(&joined, text);
    struct slice rest = str_slice(&joined);
    while (rest.len > 0) {
        size_t compare = rest.len < from.len ? rest.len : from.len;
        if (*at_line_start && memcmp(rest.data, from.data, compare) == 0) {
            if (rest.len < from.len) {
                str_append_slice(carry, rest);
                break;
            }
            str_append_char(out, '>');
        }
        const char *end = memchr(rest.data, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.data) + 1 : rest.len;
        str_append_slice(out, slice_range(rest.data, len));
        *at_line_start = end != NULL;
        rest = slice_skip(rest, len);
    }
    str_free(&joined);
}

static enum message_status message_end(int fd, const struct str *carry, char last, bool as_mbox)
{
    const char *end = last == '\n' ? "" : "\n";
    if (as_mbox)
        end = last == '\n' ? "\n" : "\n\n";
    return write_all(fd, str_slice(carry), slice_of(end)) ? MESSAGE_OK : MESSAGE_WRITE_ERROR;
}

enum message_status message_write(int fd, struct slice header, struct delivery_content *content, bool as_mbox)
{
    struct str carry = STR_EMPTY, quoted = STR_EMPTY;
    struct slice piece;
    bool at_line_start = true;
    char last = '\n';
    enum content_status status;
    enum message_status result = MESSAGE_OK;
    delivery_content_rewind(content);
    while (result == MESSAGE_OK && (status = delivery_content_next(content, &piece)) == CONTENT_MORE) {
        last = piece.data[piece.len - 1];
        if (as_mbox) {
            str_clear(&quoted);
            quote_from_lines(piece, &at_line_start, &carry, &quoted);
            piece = str_slice(&quoted);
        }
        if (!write_all(fd, header, piece))
            result = MESSAGE_WRITE_ERROR;
        header = slice_range(NULL, 0);
    }
    if (result == MESSAGE_OK) {
        if (status == CONTENT_END && header.len > 0 && !write_all(fd, header, slice_range(NULL, 0)))
            result = MESSAGE_WRITE_ERROR; /* a message without content */
        else if (status == CONTENT_END)
            result = message_end(fd, &carry, last, as_mbox);
        else
            result = status == CONTENT_CORRUPT ? MESSAGE_CORRUPT : MESSAGE_READ_ERROR;
    }
    str_free(&carry);
    str_free(&quoted);
    return result;
}
