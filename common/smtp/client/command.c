/* SPDX-License-Identifier: ISC */
/*
 * smtp command: MAIL and RCPT with their parameters (RFC 5321, 1870, 6152, 3461, 6531). Pure. The caller has
 * made sure that no address holds a control character; nothing else here could end a command early.
 */
#include "common/mail/quote.h"
#include "common/smtp/client/transaction.h"

static void command_put_path(struct str *out, const char *address, const struct smtp_client_session *session)
{
    str_append_char(out, '<');
    if (session->settings->quote_envelope)
        quote_append_address(out, address);
    else
        str_append(out, address);
    str_append_char(out, '>');
}

void smtp_command_mail(struct str *out, const struct delivery *delivery, bool wants_utf8,
                       const struct smtp_client_session *session)
{
    const struct envelope *envelope = &delivery->envelope;
    unsigned can = session->can.flags;
    str_append(out, "MAIL FROM:");
    command_put_path(out, envelope->sender, session);
    if ((can & SMTP_CAN_SIZE) != 0 && (envelope->flags & ENVELOPE_PROBE) == 0)
        str_printf(out, " SIZE=%llu", (unsigned long long)delivery->content_size);
    if ((can & SMTP_CAN_8BITMIME) != 0 && (envelope->flags & ENVELOPE_8BITMIME) != 0)
        str_append(out, " BODY=8BITMIME");
    if ((can & SMTP_CAN_DSN) != 0) {
        if (envelope->dsn_envelope_id[0] != '\0') {
            str_append(out, " ENVID=");
            quote_append_xtext(out, envelope->dsn_envelope_id);
        }
        if (envelope->dsn_return != DSN_RETURN_UNSET)
            str_append(out, envelope->dsn_return == DSN_RETURN_FULL ? " RET=FULL" : " RET=HDRS");
    }
    if (wants_utf8 && (can & SMTP_CAN_SMTPUTF8) != 0)
        str_append(out, " SMTPUTF8");
}

static void command_put_orcpt(struct str *out, const struct recipient *to)
{
    struct str original = STR_EMPTY;
    if (to->dsn_original[0] != '\0') {
        str_append(&original, to->dsn_original);
    } else if (to->original[0] != '\0') {
        str_append(&original, "rfc822;");
        quote_append_address(&original, to->original);
    }
    if (original.len > 0) {
        str_append(out, " ORCPT=");
        quote_append_xtext(out, str_text(&original));
    }
    str_free(&original);
}

static void command_put_notify(struct str *out, unsigned notify)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {{NOTIFY_NEVER, "NEVER"}, {NOTIFY_SUCCESS, "SUCCESS"}, {NOTIFY_FAILURE, "FAILURE"},
                 {NOTIFY_DELAY, "DELAY"}};
    const char *separator = " NOTIFY=";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if ((notify & names[i].flag) == 0)
            continue;
        str_append(out, separator);
        str_append(out, names[i].name);
        separator = ",";
    }
}

void smtp_command_rcpt(struct str *out, const struct recipient *to, const struct smtp_client_session *session)
{
    str_append(out, "RCPT TO:");
    command_put_path(out, to->address, session);
    if ((session->can.flags & SMTP_CAN_DSN) != 0) {
        command_put_orcpt(out, to);
        command_put_notify(out, to->notify);
    }
}

bool smtp_delivery_needs_utf8(const struct delivery *delivery, struct slice head)
{
    if ((delivery->envelope.flags & ENVELOPE_SMTPUTF8) == 0)
        return false;
    if (!text_is_ascii(slice_of(delivery->envelope.sender)))
        return true;
    for (size_t i = 0; i < delivery->recipient_count; i++) {
        if (!text_is_ascii(slice_of(delivery->recipients[i].to.address)))
            return true;
    }
    const char *body = memmem(head.data, head.len, "\n\n", 2);
    return !text_is_ascii(slice_range(head.data, body != NULL ? (size_t)(body - head.data) : head.len));
}
