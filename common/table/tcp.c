/* SPDX-License-Identifier: ISC */
/*
 * tcp:host:port -- a server that is asked "get key" in lines; tcp_table(5). A server that is away, slow, or talks
 * nonsense makes the lookup fail.
 */
#include <stdlib.h>

#include "common/base/hex.h"
#include "common/base/mem.h"
#include "common/table/socketmap.h"
#include "common/table/table_server.h"
#include "common/table/table_types.h"

#define TCP_TIMEOUT 100 /* seconds, as in Postfix */
#define TCP_MAX_LINE 4096

/* --- the protocol -------------------------------------------------------------------------------- */

void tcp_quote(struct slice key, struct str *out)
{
    for (size_t i = 0; i < key.len; i++) {
        unsigned char c = (unsigned char)key.data[i];
        if (c > ' ' && c < 127 && c != '%')
            str_append_char(out, (char)c);
        else
            str_printf(out, "%%%02X", c);
    }
}

static bool tcp_unquote(struct slice text, struct str *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '%') {
            str_append_char(out, text.data[i]);
            continue;
        }
        int byte = hex_byte(slice_skip(text, i + 1));
        if (byte < 0)
            return false;
        str_append_char(out, (char)byte);
        i += 2;
    }
    return out->len == 0 || memchr(out->data, '\0', out->len) == NULL;
}

enum server_reply tcp_reply_parse(struct slice line, struct str *value)
{
    if (line.len < 4 || !text_is_digit(line.data[0]) || !text_is_digit(line.data[1]) ||
        !text_is_digit(line.data[2]) || !text_is_space(line.data[3]) || !tcp_unquote(slice_skip(line, 4), value))
        return REPLY_MALFORMED;
    struct slice code = slice_range(line.data, 3);
    return slice_equal(code, SLICE("200"))   ? REPLY_FOUND
           : slice_equal(code, SLICE("400")) ? REPLY_TEMPORARY
           : slice_equal(code, SLICE("500")) ? REPLY_NOT_FOUND
                                             : REPLY_MALFORMED;
}

/* --- a lookup --------------------------------------------------------------------------------------- */

static enum io_status read_line(struct stream *stream, void *context, int64_t deadline)
{
    struct str *answer = context;
    struct slice line;
    enum io_status status = stream_read_line(stream, TCP_MAX_LINE, &line, NULL, deadline);
    str_clear(answer);
    if (status == IO_OK)
        str_append_slice(answer, line);
    return status;
}

static void explain(const struct table_server *server, enum server_reply meaning, struct str *line, char **error)
{
    if (line->len > 100)
        str_truncate(line, 100);
    if (line->len > 0)
        text_make_printable(line->data, line->len);
    *error = mem_printf("read TCP map reply from %s: %s: %s", table_server_endpoint(server) + strlen("inet:"),
                        meaning == REPLY_TEMPORARY ? "temporary error" : "malformed reply", str_text(line));
}

static enum table_status tcp_find(void *data, struct slice key, struct str *value, char **error, int64_t deadline)
{
    struct table_server *server = data;
    struct str query = STR_EMPTY, line = STR_EMPTY, text = STR_EMPTY;
    enum table_status status = TABLE_ERROR;
    int64_t own = deadline_in_s(TCP_TIMEOUT);
    str_append(&query, "get ");
    tcp_quote(key, &query);
    str_append_char(&query, '\n');
    if (table_server_ask(server, str_slice(&query), read_line, &line, error, own < deadline ? own : deadline)) {
        enum server_reply meaning = tcp_reply_parse(str_slice(&line), &text);
        if (meaning == REPLY_FOUND) {
            str_append_slice(value, str_slice(&text));
            status = TABLE_FOUND;
        } else if (meaning == REPLY_NOT_FOUND) {
            status = TABLE_NOT_FOUND;
        } else {
            explain(server, meaning, &line, error);
        }
    }
    str_free(&query);
    str_free(&line);
    str_free(&text);
    return status;
}

static void tcp_close(void *data)
{
    table_server_close(data);
}

static void *tcp_open(const char *name, const struct config *config, unsigned flags UNUSED, char **error)
{
    char *endpoint = mem_printf("inet:%s", name);
    struct table_server *server = table_server_open(endpoint, config, error);
    free(endpoint);
    return server;
}

const struct table_type table_tcp = {
    .name = "tcp", .pattern = true, .waits = true, .open = tcp_open, .close = tcp_close, .find = tcp_find,
};
