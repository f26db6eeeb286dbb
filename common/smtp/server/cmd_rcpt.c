/* SPDX-License-Identifier: ISC */
/* RCPT (RFC 5321 4.1.1.3) with NOTIFY and ORCPT (3461): one more recipient, or why not. */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/address_parse.h"
#include "common/mail/dsn_parameter.h"
#include "common/smtp/server/session.h"

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

/* The same address for the same original is one delivery; for another original it is another. */
static bool is_duplicate(const struct smtp_session *session, const char *address, const char *original,
                         const char *dsn_original)
{
    for (size_t i = 0; i < session->recipient_count; i++) {
        const struct recipient *other = &session->recipients[i];
        if (text_equal_nocase(other->address, address) && text_equal_nocase(other->original, original) &&
            text_equal_nocase(other->dsn_original, dsn_original))
            return true;
    }
    return false;
}

static void add_recipient(struct smtp_session *session, const char *address, const char *original,
                          const struct rcpt_parameters *parameters)
{
    const char *dsn_original = parameters->original != NULL ? parameters->original : "";
    if (is_duplicate(session, address, original, dsn_original))
        return;
    if (session->recipient_count == session->recipient_room) {
        size_t room = session->recipient_room == 0 ? 2 : session->recipient_room * 2;
        struct recipient *grown = arena_alloc_array(session->arena, room, sizeof *grown);
        if (session->recipient_count > 0)
            memcpy(grown, session->recipients, session->recipient_count * sizeof *grown);
        session->recipients = grown;
        session->recipient_room = room;
    }
    session->recipients[session->recipient_count++] = (struct recipient){
        .address = arena_strdup(session->arena, address),
        .original = arena_strdup(session->arena, original),
        .dsn_original = arena_strdup(session->arena, dsn_original),
        .notify = parameters->notify,
    };
}

static const char *check_order(struct smtp_session *session, const struct smtp_command *command)
{
    if ((session->flags & SESSION_IN_TRANSACTION) == 0)
        return "503 5.5.1 Error: need MAIL command";
    if (session->bdat != BDAT_NONE)
        return "503 5.5.1 Error: RCPT after BDAT";
    if (command->count < 3 || !smtp_token_is(&command->tokens[1], "to:"))
        return "501 5.5.4 Syntax: RCPT TO:<address>";
    if (command->tokens[2].is_broken)
        return "501 5.1.3 Bad recipient address syntax";
    return NULL;
}

static const char *parse_rcpt(struct smtp_session *session, const struct smtp_command *command, struct str *address,
                              struct rcpt_parameters *parameters)
{
    unsigned flags = (session->server->strict_addresses ? ADDRESS_STRICT : 0u) |
                     (session->server->allow_minus ? ADDRESS_ALLOW_MINUS : 0u);
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

static const char *name_message(struct smtp_session *session)
{
    if (session->queue_id[0] != '\0')
        return NULL;
    if (!session->server->policy->begin_message(session))
        return "451 4.3.0 Error: queue file write error";
    log_info("%s: client=%s", session->queue_id, session->client);
    return NULL;
}

static const char *accept_rcpt(struct smtp_session *session, const char *address,
                               const struct rcpt_parameters *parameters)
{
    struct smtp_expansion expansion = {0};
    const char *refusal = session->server->policy->on_rcpt(session, address, &expansion);
    if (refusal == NULL)
        refusal = name_message(session);
    if (refusal != NULL)
        return refusal;
    for (size_t i = 0; i < expansion.count; i++)
        add_recipient(session, expansion.addresses[i], address, parameters);
    session->accepted_count++;
    session->only_recipient = session->accepted_count == 1 ? arena_strdup(session->arena, address) : NULL;
    return NULL;
}

bool smtp_cmd_rcpt(struct smtp_session *session, const struct smtp_command *command)
{
    struct rcpt_parameters parameters = {0};
    struct str address = STR_EMPTY;
    const char *refusal = parse_rcpt(session, command, &address, &parameters);
    if (refusal == NULL && session->accepted_count >= session->server->recipient_limit) {
        /* The first few too many are no mistake of the client's: RFC 5321 4.5.3.1.10. */
        bool tolerated = session->overshoot_count++ < session->server->recipient_overshoot_limit;
        str_free(&address);
        smtp_reply(session, "452 4.5.3 Error: too many recipients");
        return tolerated;
    }
    if (refusal == NULL)
        refusal = accept_rcpt(session, str_text(&address), &parameters);
    str_free(&address);
    if (refusal != NULL)
        return smtp_refuse(session, "%s", refusal);
    smtp_reply(session, "250 2.1.5 Ok");
    return true;
}
