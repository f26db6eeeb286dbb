/* SPDX-License-Identifier: ISC */
/* RCPT (RFC 5321 4.1.1.3) with NOTIFY and ORCPT (3461): one more recipient, or why not. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/address_parse.h"
#include "common/mail/dsn_parameter.h"
#include "common/smtp/server/session.h"
#include "common/smtp/server/transcript.h"

/* Bytes of a transaction. A list that a thousand RCPTs name with a thousand extensions is a million recipients, and
 * records between roles have an end: queue and lookup would take such an envelope for an attack. */
#define ENVELOPE_LIMIT (6u * 1024 * 1024)

struct rcpt_parameters {
    uint8_t notify;
    char *original; /* ORCPT, or NULL */
};

static const char *parse_parameter(struct smtp_session *session, struct slice text, struct rcpt_parameters *parameters)
{
    bool is_notify = slice_starts_with_nocase(text, SLICE("NOTIFY="));
    bool is_original = slice_starts_with_nocase(text, SLICE("ORCPT="));
    if (!is_notify && !is_original)
        return arena_printf(session->scratch, "555 5.5.4 Unsupported option: %.*s", SLICE_ARGS(text));
    if ((session->ehlo_mask & EHLO_DSN) != 0)
        return "501 5.7.1 DSN support is disabled";
    if (is_notify) {
        if (parameters->notify != 0 || !dsn_parse_notify(slice_skip(text, 7), &parameters->notify))
            return "501 5.5.4 Error: Bad NOTIFY parameter syntax";
        return NULL;
    }
    struct str original = STR_EMPTY;
    bool good = parameters->original == NULL && dsn_parse_original(slice_skip(text, 6), &original);
    if (good)
        parameters->original = arena_slice(session->scratch, str_slice(&original));
    str_free(&original);
    return good ? NULL : "501 5.5.4 Error: Bad ORCPT parameter syntax";
}

static uint32_t hash_text(uint32_t hash, const char *text)
{
    for (; *text != '\0'; text++) /* FNV-1a */
        hash = (hash ^ (unsigned char)text_lower_char(*text)) * 16777619u;
    return (hash ^ '\n') * 16777619u;
}

static bool is_same(const struct smtp_session *session, const struct recipient *one, const struct recipient *other)
{
    if (!session->server->keep_originals) /* enable_original_recipient = no: only the address counts */
        return text_equal_nocase(one->address, other->address);
    return text_equal_nocase(one->address, other->address) && text_equal_nocase(one->original, other->original) &&
           text_equal_nocase(one->dsn_original, other->dsn_original) && one->notify == other->notify;
}

/*
 * The place of a recipient in the index: a hash table of twice as many places as there is room for recipients, each 0 or
 * 1 + the number of one. The same address for the same original is one delivery; for another original it is another.
 */
static uint32_t *index_find(const struct smtp_session *session, const struct recipient *recipient)
{
    size_t mask = 2 * session->recipient_room - 1;
    uint32_t hash = hash_text(2166136261u, recipient->address);
    if (session->server->keep_originals)
        hash = hash_text(hash_text(hash, recipient->original), recipient->dsn_original);
    size_t at = hash & mask;
    while (session->recipient_index[at] != 0 &&
           !is_same(session, &session->recipients[session->recipient_index[at] - 1], recipient))
        at = (at + 1) & mask;
    return &session->recipient_index[at];
}

static void make_room(struct smtp_session *session)
{
    size_t room = session->recipient_room == 0 ? 2 : session->recipient_room * 2;
    struct recipient *grown = arena_alloc_array(session->arena, room, sizeof *grown);
    if (session->recipient_count > 0)
        memcpy(grown, session->recipients, session->recipient_count * sizeof *grown);
    session->recipients = grown;
    session->recipient_room = room;
    session->recipient_index = arena_alloc_array(session->arena, 2 * room, sizeof *session->recipient_index);
    for (uint32_t i = 0; i < session->recipient_count; i++)
        *index_find(session, &grown[i]) = i + 1;
}

static void add_recipient(struct smtp_session *session, char *address, char *original,
                          const struct rcpt_parameters *parameters)
{
    struct recipient recipient = {.address = address, .original = original, .notify = parameters->notify,
                                  .dsn_original = parameters->original != NULL ? parameters->original : (char[]){""}};
    if (session->recipient_count == session->recipient_room)
        make_room(session);
    uint32_t *place = index_find(session, &recipient);
    if (*place != 0)
        return;
    recipient.address = arena_strdup(session->arena, address);
    recipient.original = arena_strdup(session->arena, recipient.original);
    recipient.dsn_original = arena_strdup(session->arena, recipient.dsn_original);
    session->recipients[session->recipient_count++] = recipient;
    *place = (uint32_t)session->recipient_count;
}

static const char *check_order(struct smtp_session *session, const struct smtp_command *command)
{
    if ((session->flags & SESSION_IN_TRANSACTION) == 0)
        return "503 5.5.1 Error: need MAIL command";
    if (session->bdat != BDAT_NONE)
        return "503 5.5.1 Error: RCPT after BDAT";
    if (command->count < 3 || !smtp_token_is(&command->tokens[1], "to:"))
        return "501 5.5.4 Syntax: RCPT TO:<address>";
    const char *too_often = smtp_session_count(session, SMTP_EVENT_RECIPIENT);
    if (too_often != NULL)
        return too_often;
    if (command->tokens[2].is_broken)
        return "501 5.1.3 Bad recipient address syntax";
    return NULL;
}

static const char *parse_rcpt(struct smtp_session *session, const struct smtp_command *command, struct str *address,
                              struct rcpt_parameters *parameters)
{
    unsigned flags = (session->server->strict_addresses ? ADDRESS_STRICT : 0u) |
                     (session->server->allow_minus ? ADDRESS_ALLOW_MINUS : 0u) |
                     ((session->flags & SESSION_UTF8_WANTED) != 0 ? ADDRESS_UTF8 : 0u);
    const char *refusal = check_order(session, command);
    if (refusal != NULL)
        return refusal;
    struct slice path = smtp_token_slice(&command->tokens[2]);
    if (address_parse_path(path, flags, address) != ADDRESS_PARSED) {
        log_warning("Illegal address syntax from %s in RCPT command: %.*s", session->client, SLICE_ARGS(path));
        return "501 5.1.3 Bad recipient address syntax";
    }
    for (size_t i = 3; i < command->count && refusal == NULL; i++)
        refusal = parse_parameter(session, smtp_token_slice(&command->tokens[i]), parameters);
    return refusal;
}

static void add_origin(struct str *text, const char *name, const char *value)
{
    if (value != NULL)
        str_printf(text, ", %s=%s", name, value);
}

/* The line by which a message is found in the log. */
static void log_origin(const struct smtp_session *session)
{
    const struct smtp_forward *forward = session->forward;
    struct str text = STR_EMPTY;
    add_origin(&text, "sasl_method", session->sasl_method);
    add_origin(&text, "sasl_username", session->sasl_username);
    add_origin(&text, "sasl_sender", session->sasl_sender);
    add_origin(&text, "orig_queue_id", forward != NULL ? forward->ident : NULL);
    add_origin(&text, "orig_client", forward != NULL && forward->has_client ? forward->client : NULL);
    log_info("%s: client=%s%s", smtp_session_id(session), session->client, str_text(&text));
    str_free(&text);
}

const char *smtp_session_name_message(struct smtp_session *session)
{
    if (session->queue_id[0] != '\0' || session->filter != NULL)
        return NULL;
    if (session->server->is_filtered) {
        const char *refusal = session->server->policy->filter_open(session);
        if (refusal == NULL)
            log_origin(session);
        return refusal;
    }
    if (!session->server->policy->begin_message(session)) {
        smtp_session_blame(session, FAULT_RESOURCE);
        return "451 4.3.0 Error: queue file write error";
    }
    log_origin(session);
    return NULL;
}

static const char *accept_rcpt(struct smtp_session *session, const struct smtp_command *command, char *address,
                               const struct rcpt_parameters *parameters)
{
    struct smtp_expansion expansion = {0};
    const struct rcpt_parameters copy = {.notify = NOTIFY_NEVER};
    const char *refusal = session->server->policy->on_rcpt(session, address, &expansion);
    if (refusal == NULL)
        refusal = smtp_session_name_message(session);
    if (refusal == NULL && session->filter != NULL)
        refusal = session->server->policy->filter_command(session, command->line, '2');
    if (refusal != NULL)
        return refusal;
    for (size_t i = 0; i < expansion.count; i++)
        add_recipient(session, expansion.addresses[i], address, parameters);
    for (size_t i = 0; i < expansion.copy_count; i++)
        add_recipient(session, expansion.copies[i].address, expansion.copies[i].original, &copy);
    session->final_recipient = arena_strdup(session->arena, expansion.canonical != NULL ? expansion.canonical : address);
    session->accepted_count++;
    session->only_recipient = session->accepted_count == 1 ? arena_strdup(session->arena, address) : NULL;
    return NULL;
}

static bool envelope_is_full(const struct smtp_session *session)
{
    return session->accepted_count >= session->server->recipient_limit || arena_used(session->arena) > ENVELOPE_LIMIT;
}

bool smtp_cmd_rcpt(struct smtp_session *session, const struct smtp_command *command)
{
    struct rcpt_parameters parameters = {0};
    struct str address = STR_EMPTY;
    const char *refusal = parse_rcpt(session, command, &address, &parameters);
    if (session->server->filters_replies)
        session->present_recipient = arena_slice(session->scratch, str_slice(&address));
    if (refusal == NULL && envelope_is_full(session)) {
        /* The first few too many are no mistake of the client's: RFC 5321 4.5.3.1.10. */
        bool tolerated = session->overshoot_count++ < session->server->recipient_overshoot_limit;
        str_free(&address);
        smtp_session_blame(session, tolerated ? FAULT_NONE : FAULT_POLICY);
        smtp_reply(session, "452 4.5.3 Error: too many recipients");
        return tolerated;
    }
    if (refusal == NULL)
        refusal = accept_rcpt(session, command, address.data, &parameters);
    str_free(&address);
    smtp_reply_text(session, refusal != NULL ? refusal : "250 2.1.5 Ok");
    return refusal == NULL;
}
