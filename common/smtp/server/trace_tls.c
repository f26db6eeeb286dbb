/* SPDX-License-Identifier: ISC */
/* trace_tls: what a Received header says of an encrypted connection (smtpd_tls_received_header). Called by content.c. */
#include "common/smtp/server/session.h"

/* Printable ASCII whose parentheses are balanced and escape nothing, as a comment must be (RFC 5322 3.2.2). */
static void append_comment(const char *text, struct str *out)
{
    unsigned open = 0;
    for (; *text != '\0'; text++) {
        char c = *text;
        if ((unsigned char)c < ' ' || (unsigned char)c > '~' || c == '\\' || (c == ')' && open == 0))
            c = '?';
        else if (c == '(')
            open++;
        else if (c == ')')
            open--;
        str_append_char(out, c);
    }
    while (open-- > 0)
        str_append_char(out, ')');
}

static void append_client(const struct smtp_session *session, struct str *out)
{
    const struct tls_peer *tls = session->tls;
    if (!tls->has_certificate) {
        str_append(out, session->server->tls_asks_certificate ? "(Client did not present a certificate)"
                                                              : "(No client certificate requested)");
        return;
    }
    str_append(out, "(Client CN \"");
    append_comment(tls->subject, out);
    str_append(out, "\", Issuer \"");
    append_comment(tls->issuer, out);
    str_printf(out, "\" (%s))", tls->is_trusted ? "verified OK" : "not verified");
}

const char *smtp_session_encryption_trace(struct smtp_session *session)
{
    const struct tls_peer *tls = session->tls;
    struct str text = STR_EMPTY;
    if (tls == NULL || !session->server->tls_received_header)
        return NULL;
    str_printf(&text, "(using %s with cipher %s (%d/%d bits)", tls->protocol, tls->cipher, tls->cipher_bits_used,
               tls->cipher_bits_total);
    /* Key exchange and server on one line, the client's signature on the next. */
    const char *client = strstr(tls->details, " client-signature ");
    size_t first = client != NULL ? (size_t)(client - tls->details) : strlen(tls->details);
    if (first > 0)
        str_printf(&text, "\n\t%.*s", (int)first, tls->details);
    if (client != NULL)
        str_printf(&text, "\n\t%s", client);
    str_append(&text, ")\n\t");
    append_client(session, &text);
    const char *copy = arena_slice(session->scratch, str_slice(&text));
    str_free(&text);
    return copy;
}
