/* SPDX-License-Identifier: ISC */
/*
 * transcript: the message that tells the postmaster what a client and we said to each other, in Postfix's words. Called by
 * notify.c. Pure. Every line of the transcript came from a stranger: none begins a line of the message.
 */
#include "common/service/transcript.h"

#include "common/mail/received.h"

#define LINE_LENGTH 78 /* bytes, without the blank in front */
#define FOLD_INDENT 4

static size_t word_end(struct slice text, size_t at)
{
    while (at < text.len && text.data[at] != ' ' && text.data[at] != '\t')
        at++;
    return at;
}

/* As many words as fit, one at least: their bytes, with the blanks behind them. */
static size_t fold_at(struct slice text, size_t room)
{
    size_t end = word_end(text, 0);
    while (end < text.len) {
        size_t next = word_end(text, end + 1);
        if (next > room)
            return end + 1;
        end = next;
    }
    return text.len;
}

static struct slice trim_end(struct slice text)
{
    while (text.len > 0 && text_is_space(text.data[text.len - 1]))
        text.len--;
    return text;
}

static void append_folded(struct slice line, struct str *out)
{
    size_t indent = 0;
    do {
        size_t len = fold_at(line, LINE_LENGTH - indent);
        str_printf(out, " %*s%.*s\n", (int)indent, "", SLICE_ARGS(trim_end(slice_range(line.data, len))));
        line = slice_skip(line, len);
        while (line.len > 0 && text_is_space(line.data[0]))
            line = slice_skip(line, 1);
        indent = FOLD_INDENT;
    } while (line.len > 0);
}

static void append_headers(const struct transcript_notice *notice, struct str *out)
{
    char date[MAIL_DATE_SIZE];
    mail_date(notice->now_us / 1000000, date);
    str_printf(out, "Received: by %s (%s)\n\tid %s; %s\nDate: %s\n", notice->my_hostname, notice->mail_name, notice->queue_id, date, date);
    str_printf(out, "From: Mail Delivery System <MAILER-DAEMON@%s>\nTo: Postmaster <%s>\n", notice->my_hostname, notice->to);
    str_printf(out, "Subject: %s SMTP server: errors from %s\nMessage-Id: ", notice->mail_name, notice->client);
    message_id_append(notice->now_us / 1000000, notice->queue_id, notice->my_hostname, out);
    str_append(out, "\n\n");
}

void transcript_notice_format(const struct transcript_notice *notice, struct str *out)
{
    struct slice rest = notice->transcript;
    append_headers(notice, out);
    str_append(out, "Transcript of session follows.\n\n");
    while (rest.len > 0) {
        const char *end = memchr(rest.data, '\n', rest.len);
        size_t len = end != NULL ? (size_t)(end - rest.data) : rest.len;
        append_folded(slice_range(rest.data, len), out);
        rest = slice_skip(rest, end != NULL ? len + 1 : len);
    }
    str_append_char(out, '\n');
    if (notice->end_reason != NULL)
        str_printf(out, "Session aborted, reason: %s\n", notice->end_reason);
    str_append(out, "\nFor other details, see the local mail logfile\n");
}
