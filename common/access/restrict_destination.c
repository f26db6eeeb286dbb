/* SPDX-License-Identifier: ISC */
/*
 * restrict_destination: may mail go there, and does the user exist? From lookup's one answer per address. This file
 * is what stands between the world and an open relay; without an answer nobody passes.
 */
#include "common/base/log.h"
#include "common/access/restrict.h"

enum verdict restrict_lookup_failed(struct evaluation *evaluation, const char *address)
{
    evaluation->is_broken = true;
    evaluation->fault = FAULT_DATA;
    enum verdict verdict = restrict_reject(evaluation, 451, "4.3.0", "<%s>: Temporary lookup failure", address);
    evaluation->is_broken = false;
    evaluation->fault = 0;
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

/* "user%elsewhere@us", "elsewhere!user@us", "user@elsewhere"@us may ask us to relay behind our own name. */
static bool is_our_recipient(const struct address_answer *answer)
{
    return answer->address_class != CLASS_DEFAULT && (smtpd.trusts_routing || !answer->routed);
}

/* PERMIT: mail for this recipient ends here, or is relayed for everybody. REJECT: that cannot be told now. */
enum verdict restrict_permit_auth_destination(struct evaluation *evaluation, const char *name UNUSED)
{
    if (evaluation->recipient == NULL)
        return VERDICT_DUNNO;
    const struct address_answer *answer = restrict_recipient_answer(evaluation);
    if (answer == NULL)
        return VERDICT_REJECT;
    if (answer->validity == ADDRESS_ERROR && answer->address_class == CLASS_DEFAULT)
        return restrict_lookup_failed(evaluation, evaluation->recipient); /* which class it is could not be found out */
    return is_our_recipient(answer) ? VERDICT_PERMIT : VERDICT_DUNNO;
}

static enum verdict check_destination(struct evaluation *evaluation, int64_t code, const char *dsn, const char *name)
{
    enum verdict verdict = restrict_permit_auth_destination(evaluation, name);
    if (verdict == VERDICT_PERMIT || evaluation->recipient == NULL)
        return VERDICT_DUNNO;
    if (verdict == VERDICT_REJECT)
        return verdict;
    return restrict_reject(evaluation, code, dsn, "<%s>: Relay access denied", evaluation->recipient);
}

enum verdict restrict_reject_unauth_destination(struct evaluation *evaluation, const char *name)
{
    return check_destination(evaluation, smtpd.relay_reject_code, "5.7.1", name);
}

enum verdict restrict_defer_unauth_destination(struct evaluation *evaluation, const char *name)
{
    return check_destination(evaluation, smtpd.relay_reject_code - 100, "4.7.1", name);
}

/* Deprecated by Postfix: also lets clients through whose name is below relay_domains. */
static enum verdict is_relayed_client(struct evaluation *evaluation)
{
    struct arena *arena = evaluation->session->scratch;
    struct address_answer answer;
    const char *name = evaluation->session->client_name;
    if (text_equal_nocase(name, "unknown"))
        return VERDICT_DUNNO;
    if (!lookup_address(arena_printf(arena, "postmaster@%s", name), false, arena, &answer))
        return restrict_lookup_failed(evaluation, name);
    return answer.address_class == CLASS_RELAY ? VERDICT_PERMIT : VERDICT_DUNNO;
}

static enum verdict relay_between(struct evaluation *evaluation, const char *name)
{
    if (evaluation->recipient == NULL)
        return VERDICT_DUNNO;
    enum verdict verdict = is_relayed_client(evaluation);
    if (verdict == VERDICT_DUNNO)
        verdict = restrict_permit_auth_destination(evaluation, name);
    if (verdict != VERDICT_DUNNO)
        return verdict;
    return restrict_reject(evaluation, smtpd.relay_reject_code, "5.7.1", "<%s>: %s rejected: Relay access denied",
                           evaluation->recipient, restrict_class(STAGE_RECIPIENT));
}

enum verdict restrict_check_relay_domains(struct evaluation *evaluation, const char *name)
{
    static bool has_warned;
    if (!has_warned && evaluation->recipient != NULL)
        log_warning("support for restriction \"%s\" will be removed from Postfix; use \"%s\" instead", "check_relay_domains",
                    "reject_unauth_destination");
    has_warned = has_warned || evaluation->recipient != NULL;
    enum verdict verdict = relay_between(evaluation, name);
    if (verdict == VERDICT_PERMIT)
        restrict_log_permit(evaluation, name, STAGE_RECIPIENT, NULL);
    restrict_warn_ignored(evaluation, "check_relay_domains");
    return verdict;
}

/* --- does the user exist? ------------------------------------------------------------------- */

static enum verdict check_listed(struct evaluation *evaluation, const struct address_answer *answer, const char *address,
                                 enum restrict_stage stage)
{
    if (answer == NULL)
        return VERDICT_REJECT;
    if (answer->address_class < CLASS_DEFAULT && smtpd.knows_no_users[answer->address_class])
        return VERDICT_DUNNO;
    if (answer->validity == ADDRESS_ERROR)
        return restrict_lookup_failed(evaluation, address);
    if (answer->validity != ADDRESS_UNKNOWN || answer->address_class >= CLASS_DEFAULT)
        return VERDICT_DUNNO;
    bool show = smtpd.show_unknown_table && *answer->unknown_in != '\0';
    evaluation->fault = FAULT_BOUNCE;
    enum verdict verdict = restrict_reject(evaluation, smtpd.unknown_codes[answer->address_class],
                                           stage == STAGE_SENDER ? "5.1.0" : "5.1.1", "<%s>: %s rejected: User unknown%s%s",
                                           address, restrict_class(stage), show ? " in " : "", show ? answer->unknown_in : "");
    evaluation->fault = 0;
    return verdict;
}

enum verdict restrict_unlisted_recipient(struct evaluation *evaluation, const char *name UNUSED)
{
    if (evaluation->recipient == NULL || evaluation->recipient_checked)
        return VERDICT_DUNNO;
    evaluation->recipient_checked = !evaluation->warn_only; /* a warning does not stand for the check at the end */
    return check_listed(evaluation, restrict_recipient_answer(evaluation), evaluation->recipient, STAGE_RECIPIENT);
}

enum verdict restrict_unlisted_sender(struct evaluation *evaluation, const char *name UNUSED)
{
    if (evaluation->sender == NULL || *evaluation->sender == '\0' || evaluation->sender_checked)
        return VERDICT_DUNNO;
    evaluation->sender_checked = !evaluation->warn_only;
    return check_listed(evaluation, restrict_sender_answer(evaluation), evaluation->sender, STAGE_SENDER);
}
