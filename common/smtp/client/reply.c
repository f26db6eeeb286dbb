/* SPDX-License-Identifier: ISC */
/*
 * smtp reply: what a server said, as code, enhanced status and text. A line that is no reply line is an
 * error and not skipped: with pipelining, a skipped line shifts all later answers by one, and the "250" of
 * another command would mark mail as sent. Pure, used by the client session; bounded whatever comes.
 */
#include "common/smtp/client/reply.h"

void smtp_reply_reset(struct smtp_reply *reply)
{
    reply->code = 0;
    reply->lines = 0;
    reply->dsn[0] = '\0';
    str_clear(&reply->text);
}

void smtp_reply_free(struct smtp_reply *reply)
{
    str_free(&reply->text);
}

size_t smtp_dsn_length(struct slice text)
{
    size_t at = 0;
    for (int part = 0; part < 3; part++) {
        size_t digits = 0;
        if (part > 0 && (at == text.len || text.data[at++] != '.'))
            return 0;
        while (at < text.len && text_is_digit(text.data[at]))
            at++, digits++;
        if (digits < 1 || digits > (part == 0 ? 1 : 3))
            return 0;
    }
    if (strchr("245", text.data[0]) == NULL)
        return 0;
    return at == text.len || text_is_space(text.data[at]) ? at : 0;
}

static void reply_take_dsn(struct smtp_reply *reply, struct slice line)
{
    struct slice rest = slice_skip(line, 3);
    if (rest.len > 0)
        rest = slice_skip(rest, 1); /* the blank or hyphen */
    while (rest.len > 0 && rest.data[0] == ' ')
        rest = slice_skip(rest, 1);
    size_t len = smtp_dsn_length(rest);
    if (len > 0 && rest.data[0] == line.data[0]) {
        memcpy(reply->dsn, rest.data, len);
        reply->dsn[len] = '\0';
    } else {
        memcpy(reply->dsn, "0.0.0", 6);
        reply->dsn[0] = line.data[0];
    }
}

static void reply_keep_text(struct smtp_reply *reply, struct slice line)
{
    if (reply->text.len >= SMTP_REPLY_TEXT_MAX)
        return;
    if (line.len > SMTP_REPLY_TEXT_MAX)
        line.len = SMTP_REPLY_TEXT_MAX;
    if (reply->text.len > 0)
        str_append_char(&reply->text, '\n');
    str_append_slice(&reply->text, line);
    text_make_printable(reply->text.data + reply->text.len - line.len, line.len);
}

enum smtp_reply_status smtp_reply_add_line(struct smtp_reply *reply, struct slice line)
{
    reply_keep_text(reply, line);
    if (line.len < 3 || line.data[0] < '2' || line.data[0] > '5' || !text_is_digit(line.data[1]) ||
        !text_is_digit(line.data[2]))
        return SMTP_REPLY_MALFORMED;
    if (line.len > 3 && line.data[3] != ' ' && line.data[3] != '-')
        return SMTP_REPLY_MALFORMED;
    int code = (line.data[0] - '0') * 100 + (line.data[1] - '0') * 10 + (line.data[2] - '0');
    if (reply->lines > 0 && code != reply->code)
        return SMTP_REPLY_MALFORMED;
    reply->code = code;
    if (++reply->lines > SMTP_REPLY_LINES_MAX)
        return SMTP_REPLY_TOO_LONG;
    if (line.len > 3 && line.data[3] == '-')
        return SMTP_REPLY_MORE;
    reply_take_dsn(reply, line);
    return SMTP_REPLY_DONE;
}

char *smtp_reply_one_line(const struct smtp_reply *reply, struct arena *arena)
{
    char *text = arena_strndup(arena, str_text(&reply->text), reply->text.len);
    for (char *p = text; *p != '\0'; p++) {
        if (*p == '\n')
            *p = ' ';
    }
    return text;
}
