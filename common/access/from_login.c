/* SPDX-License-Identifier: ISC */
/*
 * from_login: smtpd_from_login_check, what reject_authenticated_sender_login_mismatch is for the envelope: every address that
 * the message names as its author or sender must be the login's. Posthorn's own. Called by the policy of a service
 * while and after the content comes; a table that cannot say defers.
 */
#include "common/access/owner.h"

void from_login_note(struct smtp_session *session, struct slice text, bool is_all)
{
    if (!smtpd.from_login_check || session->sasl_username == NULL)
        return;
    struct from_addresses *from = arena_alloc(session->arena, sizeof *from);
    from_addresses_collect(text, is_all, session->arena, from);
    smtpd_transaction(session)->from = from;
}

static enum verdict check_address(struct evaluation *evaluation, const struct from_address *from)
{
    const char *login = evaluation->session->sasl_username;
    struct arena *arena = evaluation->session->scratch;
    struct address_answer answer;
    enum owner_status owner = OWNER_NONE;
    if (*from->address != '\0') {
        if (!lookup_address(from->address, false, arena, &answer))
            return restrict_lookup_failed(evaluation, from->address);
        owner = owner_find(answer.address, login, arena);
    }
    if (owner == OWNER_IS_LOGIN)
        return VERDICT_DUNNO;
    if (owner == OWNER_UNCERTAIN)
        return restrict_lookup_failed(evaluation, from->address);
    char *printable = arena_strdup(arena, from->address);
    text_make_printable(printable, strlen(printable));
    return restrict_reject(evaluation, 553, "5.7.1", "<%s>: %s header rejected: not owned by user %s", printable,
                           from->header, login);
}

const char *from_login_check(struct smtp_session *session)
{
    const struct smtpd_transaction *transaction = session->transaction;
    struct evaluation evaluation = {.session = session, .where = session->where, .stage = STAGE_END_OF_DATA,
                                    .sender = session->sender, .recipient = session->only_recipient};
    if (transaction == NULL || transaction->from == NULL)
        return NULL;
    const struct from_addresses *from = transaction->from;
    enum verdict verdict = VERDICT_DUNNO;
    if (from->is_incomplete)
        verdict = restrict_reject(&evaluation, 553, "5.7.1", "<%s>: From header rejected: too many addresses or too long a header",
                                  session->sender);
    for (size_t i = 0; i < from->count && verdict == VERDICT_DUNNO; i++)
        verdict = check_address(&evaluation, &from->list[i]);
    return verdict == VERDICT_DUNNO ? NULL : evaluation.reply;
}
