/* SPDX-License-Identifier: ISC */
/*
 * bounce_message: writes delivery status notifications. Called by the queue. Texts that came from strangers
 * (addresses, replies of servers) are made printable, and folded so that no line grows without bound.
 */
#include "common/mail/bounce_message.h"

#include <stdio.h>
#include <time.h>

#include "common/base/mem.h"

#define TEXT_WIDTH 79
#define INDENT "    "

/* --- pieces ------------------------------------------------------------------------------ */

static void append_date(struct str *out, int64_t at_us)
{
    char text[64];
    struct tm parts;
    time_t seconds = (time_t)(at_us / 1000000);
    localtime_r(&seconds, &parts);
    if (strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S %z (%Z)", &parts) > 0)
        str_append(out, text);
}

/* One line's worth of a stranger's text: printable, bounded. */
static void append_clean(struct str *out, const char *text, bool utf8)
{
    for (size_t i = 0; text[i] != '\0' && i < 1000; i++) {
        unsigned char c = (unsigned char)text[i];
        bool good = (c >= 32 && c < 127) || (utf8 && c >= 128);
        str_append_char(out, good ? (char)c : '?');
    }
}

/* Words, folded with an indent in front of every line but the first. */
static void append_folded(struct str *out, const char *text, size_t column, bool utf8)
{
    struct str clean = STR_EMPTY;
    append_clean(&clean, text, utf8);
    struct slice rest = str_slice(&clean), word;
    bool first = true;
    while (slice_next_token(&rest, " ", &word)) {
        if (!first && column + 1 + word.len > TEXT_WIDTH) {
            str_append(out, "\n" INDENT);
            column = sizeof INDENT - 1;
        } else if (!first) {
            str_append_char(out, ' ');
            column++;
        }
        str_append_slice(out, word);
        column += word.len;
        first = false;
    }
    str_free(&clean);
}

/* Named after the message that it is about, as in Postfix. */
static void append_boundary(const struct bounce_message *message, struct str *out)
{
    str_printf(out, "%s.%lld/%s", message->subject->queue_id, (long long)(message->now_us / 1000000), message->host_name);
}

static void append_separator(const struct bounce_message *message, const char *end, struct str *out)
{
    str_append(out, "\n--");
    append_boundary(message, out);
    str_append(out, end);
    str_append_char(out, '\n');
}

static bool is_utf8(const struct bounce_message *message)
{
    return (message->subject->flags & ENVELOPE_SMTPUTF8) != 0;
}

static bool is_8bit(const struct bounce_message *message)
{
    return message->may_be_8bit || (message->subject->flags & (ENVELOPE_8BITMIME | ENVELOPE_SMTPUTF8)) != 0;
}

static bool is_ascii_charset(const struct bounce_message *message)
{
    return text_equal_nocase(message->text->charset, "us-ascii");
}

struct slice bounce_headers_of(struct slice content)
{
    size_t at = 0;
    while (at < content.len) {
        const char *end = memchr(content.data + at, '\n', content.len - at);
        size_t next = end != NULL ? (size_t)(end - content.data) + 1 : content.len;
        if (next - at <= 1 || (next - at == 2 && content.data[at] == '\r'))
            break;
        at = next;
    }
    return slice_range(content.data, at);
}

/* --- header ------------------------------------------------------------------------------ */

void bounce_message_id(const struct bounce_message *message, struct str *out)
{
    char stamp[32];
    struct tm parts;
    time_t seconds = (time_t)(message->now_us / 1000000);
    gmtime_r(&seconds, &parts);
    if (strftime(stamp, sizeof stamp, "%Y%m%d%H%M%S", &parts) == 0)
        stamp[0] = '\0';
    str_printf(out, "<%s.%s@%s>", stamp, message->queue_id, message->host_name);
}

static void append_header(const struct bounce_message *message, struct str *out)
{
    str_printf(out, "Received: by %s (%s)\n\tid %s; ", message->host_name, message->mail_name, message->queue_id);
    append_date(out, message->now_us);
    str_append(out, "\nDate: ");
    append_date(out, message->now_us);
    str_printf(out, "\nFrom: %s\nSubject: %s\nTo: ", message->text->from, message->text->subject);
    append_clean(out, message->to, is_utf8(message));
    str_append_char(out, '\n');
    if (message->is_threaded && message->subject->message_id[0] == '<')
        str_printf(out, "References: %s\nIn-Reply-To: %s\n", message->subject->message_id, message->subject->message_id);
    str_printf(out, "Auto-Submitted: auto-%s\nMIME-Version: 1.0\n"
               "Content-Type: multipart/report; report-type=delivery-status;\n\tboundary=\"",
               message->for_postmaster ? "generated" : "replied");
    append_boundary(message, out);
    str_append(out, "\"\n");
    if (is_8bit(message) || !is_ascii_charset(message))
        str_append(out, "Content-Transfer-Encoding: 8bit\n");
    str_append(out, "Message-Id: ");
    bounce_message_id(message, out);
    str_append(out, "\n\nThis is a MIME-encapsulated message.\n");
}

/* --- for people ------------------------------------------------------------------------------ */

static void append_explanation(const struct bounce_message *message, const struct bounce_recipient *one, struct str *out)
{
    bool utf8 = is_utf8(message);
    size_t start = out->len + 1;
    str_append(out, "\n<");
    append_clean(out, one->recipient->address, utf8);
    str_append_char(out, '>');
    const char *original = one->recipient->original;
    if (original[0] != '\0' && !text_equal_nocase(original, one->recipient->address)) {
        str_append(out, " (expanded from <");
        append_clean(out, original, utf8);
        str_append(out, ">)");
    }
    str_append(out, ": ");
    append_folded(out, one->reason, out->len - start, utf8);
    str_append_char(out, '\n');
}

static void append_notification(const struct bounce_message *message, struct str *out)
{
    append_separator(message, "", out);
    str_printf(out, "Content-Description: Notification\nContent-Type: text/plain; charset=%s\n",
               !is_ascii_charset(message) ? message->text->charset : is_8bit(message) ? "utf-8" : "us-ascii");
    if (is_8bit(message))
        str_append(out, "Content-Transfer-Encoding: 8bit\n");
    str_append_char(out, '\n');
    str_append(out, message->text->text);
    for (size_t i = 0; i < message->recipient_count; i++)
        append_explanation(message, &message->recipients[i], out);
}

/* --- for programs ------------------------------------------------------------------------------ */

static const char *action_of(enum bounce_notice notice)
{
    return notice == NOTICE_DELAYED ? "delayed" : notice == NOTICE_DELIVERED ? "delivered" : "failed";
}

/* "mail.example[192.0.2.1]:25" is the name that people see; the report wants the name alone. */
static void append_remote(struct str *out, const char *remote_host)
{
    size_t len = strcspn(remote_host, "[ ");
    str_append(out, "Remote-MTA: dns; ");
    str_append_slice(out, slice_range(remote_host, len > 0 ? len : strlen(remote_host)));
    str_append_char(out, '\n');
}

static void append_recipient_fields(const struct bounce_message *message, const struct bounce_recipient *one,
                                    struct str *out)
{
    bool utf8 = is_utf8(message);
    const char *type = utf8 ? "utf-8" : "rfc822";
    str_printf(out, "\nFinal-Recipient: %s; ", type);
    append_clean(out, one->recipient->address, utf8);
    const char *original = one->recipient->dsn_original;
    if (original[0] != '\0') {
        str_append(out, "\nOriginal-Recipient: ");
        append_clean(out, original, utf8);
    } else if (one->recipient->original[0] != '\0') {
        str_printf(out, "\nOriginal-Recipient: %s;", type);
        append_clean(out, one->recipient->original, utf8);
    }
    str_printf(out, "\nAction: %s\nStatus: %s\n", action_of(message->notice), one->dsn);
    if (one->remote_host != NULL && one->remote_host[0] != '\0')
        append_remote(out, one->remote_host);
    str_append(out, "Diagnostic-Code: ");
    size_t column = sizeof "Diagnostic-Code: " - 1;
    if (one->diagnostic != NULL && one->diagnostic[0] != '\0') {
        append_folded(out, one->diagnostic, column, utf8);
    } else {
        str_append(out, "X-Postfix; ");
        append_folded(out, one->reason, column + 11, utf8);
    }
    str_append_char(out, '\n');
    if (message->notice == NOTICE_DELAYED) {
        str_append(out, "Will-Retry-Until: ");
        append_date(out, message->expires_us);
        str_append_char(out, '\n');
    }
}

static const char *sender_of(const struct bounce_message *message)
{
    return message->subject->sender[0] != '\0' ? message->subject->sender : message->mail_daemon;
}

static void append_report(const struct bounce_message *message, struct str *out)
{
    const struct envelope *subject = message->subject;
    const char *global = is_utf8(message) ? "global-" : "";
    append_separator(message, "", out);
    str_printf(out, "Content-Description: Delivery report\nContent-Type: message/%sdelivery-status\n", global);
    if (is_utf8(message))
        str_append(out, "Content-Transfer-Encoding: 8bit\n");
    str_printf(out, "\nReporting-MTA: dns; %s\n", message->host_name);
    if (subject->dsn_envelope_id[0] != '\0') {
        str_append(out, "Original-Envelope-Id: ");
        append_clean(out, subject->dsn_envelope_id, false);
        str_append_char(out, '\n');
    }
    str_printf(out, "X-%s-Queue-ID: %s\n", message->mail_name, subject->queue_id);
    str_printf(out, "X-%s-Sender: %s; ", message->mail_name, is_utf8(message) ? "utf-8" : "rfc822");
    append_clean(out, sender_of(message), is_utf8(message));
    str_append_char(out, '\n');
    str_append(out, "Arrival-Date: ");
    append_date(out, subject->arrival_us);
    str_append_char(out, '\n');
    for (size_t i = 0; i < message->recipient_count; i++)
        append_recipient_fields(message, &message->recipients[i], out);
}

/* --- the message itself ------------------------------------------------------------------------ */

static void append_original(const struct bounce_message *message, struct str *out)
{
    const char *what = message->notice == NOTICE_DELIVERED ? "Message" : "Undelivered Message";
    const char *global = is_utf8(message) ? "global" : "rfc822";
    struct slice content = message->headers_only ? bounce_headers_of(message->content) : message->content;
    append_separator(message, "", out);
    str_printf(out, "Content-Description: %s%s\n", what, message->headers_only ? " Headers" : "");
    if (!message->headers_only)
        str_printf(out, "Content-Type: message/%s\n", global);
    else
        str_printf(out, "Content-Type: %s\n", is_utf8(message) ? "message/global-headers" : "text/rfc822-headers");
    if (is_8bit(message))
        str_append(out, "Content-Transfer-Encoding: 8bit\n");
    str_printf(out, "\nReturn-Path: <");
    append_clean(out, sender_of(message), is_utf8(message));
    str_append(out, ">\n");
    str_append_slice(out, content);
    if (content.len > 0 && content.data[content.len - 1] != '\n')
        str_append_char(out, '\n');
}

void bounce_message_format(const struct bounce_message *message, struct str *out)
{
    append_header(message, out);
    append_notification(message, out);
    append_report(message, out);
    append_original(message, out);
    append_separator(message, "--", out);
}
