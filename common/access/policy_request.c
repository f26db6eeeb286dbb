/* SPDX-License-Identifier: ISC */
/* policy_request: what a policy service is told of a session, attribute by attribute in Postfix's order. */
#include <unistd.h>

#include "common/access/policy_service.h"
#include "common/smtp/server/content.h"

/* An attribute ends at its line: no value may hold the end of one. */
static void put(struct str *out, const char *name, const char *value)
{
    str_append(out, name);
    str_append_char(out, '=');
    for (; value != NULL && *value != '\0'; value++)
        str_append_char(out, *value == '\n' ? '?' : *value);
    str_append_char(out, '\n');
}

static void put_number(struct str *out, const char *name, uint64_t number)
{
    str_printf(out, "%s=%llu\n", name, (unsigned long long)number);
}

/* RFC 3461 xtext, in upper case. */
static void put_xtext(struct str *out, const char *name, const char *value)
{
    str_append(out, name);
    str_append_char(out, '=');
    for (; value != NULL && *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if (c > ' ' && c < 127 && c != '+' && c != '=')
            str_append_char(out, *value);
        else
            str_printf(out, "+%02X", c);
    }
    str_append_char(out, '\n');
}

static void put_server(struct str *out, struct smtp_session *session)
{
    put(out, "server_address", smtp_session_server_address(session));
    put(out, "server_port", smtp_session_server_port(session));
}

/* The same for all questions about one message, and for no others: process, time of MAIL, how many before it. */
static void put_instance(struct str *out, const struct smtp_session *session)
{
    uint32_t earlier = session->succeeded[VERB_MAIL] > 0 ? session->succeeded[VERB_MAIL] - 1 : 0;
    str_append(out, "instance=");
    if (session->sender != NULL) /* MAIL was accepted */
        str_printf(out, "%x.%llx.%llx.%x", (unsigned)getpid(), (unsigned long long)session->arrival_us / 1000000,
                   (unsigned long long)session->arrival_us % 1000000, earlier);
    str_append_char(out, '\n');
}

static void put_tls(struct str *out, const struct tls_peer *tls)
{
    bool shown = tls != NULL && tls->has_certificate;
    bool trusted = shown && tls->is_trusted;
    put_xtext(out, "ccert_subject", trusted ? tls->subject : "");
    put_xtext(out, "ccert_issuer", trusted ? tls->issuer : "");
    put(out, "ccert_fingerprint", shown ? tls->fingerprint : "");
    put(out, "ccert_pubkey_fingerprint", shown ? tls->public_key_fingerprint : "");
    put(out, "encryption_protocol", tls != NULL ? tls->protocol : "");
    put(out, "encryption_cipher", tls != NULL ? tls->cipher : "");
    put_number(out, "encryption_keysize", tls != NULL && tls->cipher_bits_used > 0 ? (uint64_t)tls->cipher_bits_used : 0);
}

static void put_client(struct str *out, const struct smtp_session *session)
{
    const struct smtpd_client *client = session->owner;
    put(out, "client_address", session->client_address);
    put(out, "client_name", session->client_name);
    put(out, "client_port", session->client_port);
    put(out, "reverse_client_name", client->reverse_name);
}

/* Octets of the text as it came, once it is there; what MAIL announced before. */
static uint64_t message_size(const struct evaluation *evaluation)
{
    static const uint64_t final_dot = 3;
    const struct content *content = evaluation->session->content;
    if (evaluation->stage != STAGE_END_OF_DATA || content == NULL)
        return evaluation->session->announced_size;
    uint64_t size = content->reader.wire_bytes;
    return !content->reader.is_chunk && size >= final_dot ? size - final_dot : size;
}

static void put_message(struct str *out, const struct evaluation *evaluation)
{
    const struct smtp_session *session = evaluation->session;
    bool after_envelope = evaluation->stage == STAGE_DATA || evaluation->stage == STAGE_END_OF_DATA;
    put_number(out, "recipient_count", after_envelope ? session->accepted_count : 0);
    put(out, "queue_id", session->queue_id);
    put_instance(out, session);
    put_number(out, "size", message_size(evaluation));
}

void policy_request_put(struct str *out, const struct evaluation *evaluation, const struct policy_service *service)
{
    struct smtp_session *session = evaluation->session;
    bool is_chunk = strcmp(evaluation->where, "BDAT") == 0;
    put(out, "request", "smtpd_access_policy");
    put(out, "protocol_state", is_chunk ? "DATA" : evaluation->where);
    put(out, "protocol_name", smtp_session_protocol(session));
    put_client(out, session);
    put_server(out, session);
    put(out, "helo_name", session->helo_name);
    put(out, "sender", evaluation->sender);
    put(out, "recipient", evaluation->recipient);
    put_message(out, evaluation);
    put(out, "etrn_domain", evaluation->etrn_domain);
    put(out, "stress", smtpd.stress);
    put(out, "sasl_method", session->sasl_method);
    put(out, "sasl_username", session->sasl_username);
    put(out, "sasl_sender", session->sasl_sender);
    put_tls(out, session->tls);
    put(out, "policy_context", service->spec.context);
    str_append_char(out, '\n');
}
