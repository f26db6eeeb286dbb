/* SPDX-License-Identifier: ISC */
/*
 * restrict_destination: may mail go there, and does the user exist? From lookup's one answer per address. This file
 * is what stands between the world and an open relay; without an answer nobody passes.
 */
#include "common/mail/address_parse.h"
#include "common/access/restrict.h"

enum verdict restrict_lookup_failed(struct evaluation *evaluation, const char *address)
{
    evaluation->is_broken = true;
    enum verdict verdict = restrict_reject(evaluation, 451, "4.3.0", "<%s>: Temporary lookup failure", address);
    evaluation->is_broken = false;
    return verdict;
}

static struct address_answer *ask(struct evaluation *evaluation, struct address_answer **slot, const char *address,
                                  bool expand)
{
    struct arena *arena = evaluation->session->scratch;
    if (*slot != NULL || address == NULL)
        return *slot;
    struct address_answer *answer = arena_alloc(arena, sizeof *answer);
    if (!lookup_address(address, expand, arena, answer)) {
        restrict_lookup_failed(evaluation, address);
        return NULL;
    }
    return *slot = answer;
}

struct address_answer *restrict_recipient_answer(struct evaluation *evaluation)
{
    return ask(evaluation, &evaluation->recipient_answer, evaluation->recipient, true);
}

struct address_answer *restrict_sender_answer(struct evaluation *evaluation)
{
    return ask(evaluation, &evaluation->sender_answer, evaluation->sender, false);
}

/* "user%elsewhere@us", "elsewhere!user@us", "user@elsewhere"@us ask us to relay behind our own name. */
static bool hides_routing(const char *recipient)
{
    struct slice local = address_local_part(slice_of(recipient));
    for (size_t i = 0; i < local.len; i++)
        if (local.data[i] == '@' || (local.data[i] == '%' && smtpd.percent_hack) ||
            (local.data[i] == '!' && smtpd.bang_path))
            return true;
    return false;
}

bool restrict_is_our_recipient(const struct address_answer *answer, const char *recipient)
{
    return answer->address_class != CLASS_DEFAULT && (smtpd.trusts_routing || !hides_routing(recipient));
}

static enum verdict check_destination(struct evaluation *evaluation, int64_t code)
{
    if (evaluation->recipient == NULL || text_equal_nocase(evaluation->recipient, "postmaster"))
        return VERDICT_DUNNO; /* RFC 5321 4.5.1: postmaster without a domain is always ours */
    const struct address_answer *answer = restrict_recipient_answer(evaluation);
    if (answer == NULL)
        return VERDICT_REJECT;
    if (answer->validity == ADDRESS_ERROR && answer->address_class == CLASS_DEFAULT)
        return restrict_lookup_failed(evaluation, evaluation->recipient); /* which class it is could not be found out */
    if (restrict_is_our_recipient(answer, evaluation->recipient))
        return VERDICT_DUNNO;
    return restrict_reject(evaluation, code, "5.7.1", "<%s>: Relay access denied", evaluation->recipient);
}

enum verdict restrict_reject_unauth_destination(struct evaluation *evaluation, const char *name UNUSED)
{
    return check_destination(evaluation, smtpd.relay_reject_code);
}

enum verdict restrict_defer_unauth_destination(struct evaluation *evaluation, const char *name UNUSED)
{
    return check_destination(evaluation, smtpd.relay_reject_code - 100);
}

enum verdict restrict_permit_auth_destination(struct evaluation *evaluation, const char *name UNUSED)
{
    if (evaluation->recipient == NULL)
        return VERDICT_DUNNO;
    const struct address_answer *answer = restrict_recipient_answer(evaluation);
    if (answer == NULL)
        return VERDICT_REJECT;
    return restrict_is_our_recipient(answer, evaluation->recipient) ? VERDICT_PERMIT : VERDICT_DUNNO;
}

enum verdict restrict_check_relay_domains(struct evaluation *evaluation, const char *name)
{
    if (restrict_permit_mynetworks(evaluation, name) == VERDICT_PERMIT)
        return VERDICT_PERMIT;
    enum verdict verdict = restrict_permit_auth_destination(evaluation, name);
    return verdict != VERDICT_DUNNO ? verdict : check_destination(evaluation, smtpd.relay_reject_code);
}

/* --- does the user exist? ------------------------------------------------------------------- */

static enum verdict check_listed(struct evaluation *evaluation, const struct address_answer *answer, const char *address,
                                 enum restrict_stage stage)
{
    if (answer == NULL)
        return VERDICT_REJECT;
    if (answer->validity == ADDRESS_ERROR)
        return restrict_lookup_failed(evaluation, address);
    if (answer->validity != ADDRESS_UNKNOWN || answer->address_class >= CLASS_DEFAULT)
        return VERDICT_DUNNO;
    bool show = smtpd.show_unknown_table && *answer->unknown_in != '\0';
    return restrict_reject(evaluation, smtpd.unknown_codes[answer->address_class],
                           stage == STAGE_SENDER ? "5.1.0" : "5.1.1", "<%s>: %s rejected: User unknown%s%s", address,
                           restrict_class(stage), show ? " in " : "", show ? answer->unknown_in : "");
}

enum verdict restrict_unlisted_recipient(struct evaluation *evaluation, const char *name UNUSED)
{
    evaluation->recipient_checked = true;
    if (evaluation->recipient == NULL)
        return VERDICT_DUNNO;
    return check_listed(evaluation, restrict_recipient_answer(evaluation), evaluation->recipient, STAGE_RECIPIENT);
}

enum verdict restrict_unlisted_sender(struct evaluation *evaluation, const char *name UNUSED)
{
    evaluation->sender_checked = true;
    if (evaluation->sender == NULL || *evaluation->sender == '\0')
        return VERDICT_DUNNO;
    return check_listed(evaluation, restrict_sender_answer(evaluation), evaluation->sender, STAGE_SENDER);
}
