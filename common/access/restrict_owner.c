/* SPDX-License-Identifier: ISC */
/*
 * restrict_owner: whose address is it? smtpd_sender_login_maps names the logins that may send as an address; these
 * restrictions compare it with who is logged in. A table that cannot say defers. Waits for lookup.
 */
#include "common/access/owner.h"

#include "common/base/log.h"
#include "common/config/config.h"

#define SEPARATORS ", \t\r\n"

bool owner_list_has(struct slice owners, const char *login)
{
    struct slice name;
    while (slice_next_token(&owners, SEPARATORS, &name))
        if (slice_equal_nocase(name, slice_of(login)))
            return true;
    return false;
}

enum owner_status owner_find(const char *address, const char *login, struct arena *arena)
{
    struct table_answer answer;
    if (*smtpd.sender_login_maps == '\0')
        return OWNER_NONE;
    char *folded = arena_strdup(arena, address); /* also for patterns that tell capitals apart */
    text_lowercase(folded);
    if (!lookup_find(smtpd.sender_login_maps, KEY_ADDRESS, "smtpd_sender_login_maps", folded, arena, &answer))
        return OWNER_UNCERTAIN;
    if (answer.status == TABLE_ERROR) {
        log_warning("%s lookup error for \"%s\"", answer.table, address);
        return OWNER_UNCERTAIN;
    }
    if (answer.status == TABLE_NOT_FOUND)
        return OWNER_NONE;
    return login != NULL && owner_list_has(slice_of(answer.value), login) ? OWNER_IS_LOGIN : OWNER_IS_OTHER;
}

/* Who owns the sender address: as it was rewritten, like all of its look-ups. */
static enum verdict find_sender(struct evaluation *evaluation, const char *login, enum owner_status *owner)
{
    const struct address_answer *answer = restrict_sender_answer(evaluation);
    if (answer == NULL)
        return VERDICT_REJECT;
    *owner = owner_find(answer->address, login, evaluation->session->scratch);
    return *owner == OWNER_UNCERTAIN ? restrict_lookup_failed(evaluation, evaluation->sender) : VERDICT_DUNNO;
}

static bool has_sender(const struct evaluation *evaluation)
{
    return evaluation->sender != NULL && *evaluation->sender != '\0';
}

/* Somebody is logged in and sends as somebody else; with `known`, as somebody of whom the tables know. */
static enum verdict check_logged_in(struct evaluation *evaluation, bool only_known)
{
    const char *login = evaluation->session->sasl_username;
    enum owner_status owner;
    if (login == NULL || !has_sender(evaluation))
        return VERDICT_DUNNO;
    enum verdict verdict = find_sender(evaluation, login, &owner);
    if (verdict != VERDICT_DUNNO || owner == OWNER_IS_LOGIN || owner == OWNER_UNCERTAIN)
        return verdict;
    if (owner == OWNER_NONE && only_known)
        return VERDICT_DUNNO;
    return restrict_reject(evaluation, 553, "5.7.1", "<%s>: Sender address rejected: not owned by user %s",
                           evaluation->sender, login);
}

/* Nobody is logged in, and the address belongs to somebody. */
static enum verdict check_not_logged_in(struct evaluation *evaluation)
{
    enum owner_status owner;
    if (evaluation->session->sasl_username != NULL || !has_sender(evaluation))
        return VERDICT_DUNNO;
    enum verdict verdict = find_sender(evaluation, NULL, &owner);
    if (verdict != VERDICT_DUNNO || owner != OWNER_IS_OTHER)
        return verdict;
    return restrict_reject(evaluation, 553, "5.7.1", "<%s>: Sender address rejected: not logged in", evaluation->sender);
}

/* Where nobody can log in, nothing can be said; Postfix warns each time, too. */
static bool can_log_in(const char *name)
{
    if (!smtpd.server.auth_enabled)
        log_warning("restriction `%s' ignored: no SASL support", name);
    return smtpd.server.auth_enabled;
}

enum verdict restrict_authenticated_mismatch(struct evaluation *evaluation, const char *name)
{
    return can_log_in(name) ? check_logged_in(evaluation, false) : VERDICT_DUNNO;
}

enum verdict restrict_unauthenticated_mismatch(struct evaluation *evaluation, const char *name)
{
    return can_log_in(name) ? check_not_logged_in(evaluation) : VERDICT_DUNNO;
}

enum verdict restrict_known_mismatch(struct evaluation *evaluation, const char *name)
{
    if (!can_log_in(name))
        return VERDICT_DUNNO;
    enum verdict verdict = check_logged_in(evaluation, true);
    return verdict != VERDICT_DUNNO ? verdict : check_not_logged_in(evaluation);
}

enum verdict restrict_sender_mismatch(struct evaluation *evaluation, const char *name UNUSED)
{
    enum verdict verdict = restrict_authenticated_mismatch(evaluation, "reject_authenticated_sender_login_mismatch");
    return verdict != VERDICT_DUNNO ? verdict :
           restrict_unauthenticated_mismatch(evaluation, "reject_unauthenticated_sender_login_mismatch");
}
