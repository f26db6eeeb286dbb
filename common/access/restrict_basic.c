/* SPDX-License-Identifier: ISC */
/* restrict_basic: restrictions that need no table: yes, no, later, and what the client did. */
#include "common/base/log.h"
#include "common/access/restrict.h"

void restrict_warn_ignored(struct evaluation *evaluation, const char *name)
{
    if (evaluation->at + 1 < evaluation->list->count && !evaluation->warn_only)
        log_warning("restriction `%s' after `%s' is ignored", evaluation->list->words[evaluation->at + 1], name);
}

enum verdict restrict_permit(struct evaluation *evaluation, const char *name)
{
    bool outer_warns = evaluation->warn_only;
    restrict_log_permit(evaluation, name, evaluation->subject, NULL);
    evaluation->warn_only = false; /* a permission is one even then */
    restrict_warn_ignored(evaluation, "permit");
    evaluation->warn_only = outer_warns;
    return VERDICT_PERMIT;
}

enum verdict restrict_refuse(struct evaluation *evaluation, const char *name UNUSED)
{
    enum verdict verdict = restrict_reject_subject(evaluation, smtpd.reject_code, "5.7.1", "Access denied");
    restrict_warn_ignored(evaluation, "reject");
    return verdict;
}

enum verdict restrict_defer(struct evaluation *evaluation, const char *name UNUSED)
{
    enum verdict verdict = restrict_reject_subject(evaluation, smtpd.defer_code, "4.3.2", "Try again later");
    restrict_warn_ignored(evaluation, "defer");
    return verdict;
}

static enum verdict put_off(struct evaluation *evaluation, char **slot, const char *name)
{
    restrict_defer_if(evaluation, slot, 450, "4.7.0",
                      arena_printf(evaluation->session->scratch, "<%s>: %s rejected: %s requested",
                                   restrict_subject(evaluation, evaluation->subject), restrict_class(evaluation->subject), name));
    return VERDICT_DUNNO;
}

enum verdict restrict_defer_if_permit(struct evaluation *evaluation, const char *name)
{
    return put_off(evaluation, &evaluation->defer_if_permit, name);
}

enum verdict restrict_defer_if_reject(struct evaluation *evaluation, const char *name)
{
    return put_off(evaluation, &evaluation->defer_if_reject, name);
}

enum verdict restrict_warn_if_reject(struct evaluation *evaluation, const char *name UNUSED)
{
    evaluation->warn_only = true;
    return VERDICT_DUNNO;
}

enum verdict restrict_sleep(struct evaluation *evaluation, const char *name)
{
    const char *argument = restrict_argument(evaluation);
    uint64_t seconds;
    if (argument == NULL || !slice_to_u64(slice_of(argument), &seconds) || seconds > 86400) {
        log_warning("restriction %s must be followed by number", name);
        return restrict_broken(evaluation);
    }
    if (fiber_sleep_until(deadline_in_s((int64_t)seconds)) != WAIT_OK)
        evaluation->session->flags |= SESSION_HANGUP;
    return VERDICT_DUNNO;
}

static const struct smtpd_client *client_of(const struct evaluation *evaluation)
{
    return evaluation->session->owner;
}

enum verdict restrict_permit_mynetworks(struct evaluation *evaluation, const char *name UNUSED)
{
    return client_of(evaluation)->is_mynetworks ? VERDICT_PERMIT : VERDICT_DUNNO;
}

enum verdict restrict_permit_inet_interfaces(struct evaluation *evaluation, const char *name UNUSED)
{
    return client_of(evaluation)->is_own ? VERDICT_PERMIT : VERDICT_DUNNO;
}

enum verdict restrict_permit_sasl_authenticated(struct evaluation *evaluation, const char *name UNUSED)
{
    return smtpd.server.auth_enabled && evaluation->session->sasl_username != NULL ? VERDICT_PERMIT : VERDICT_DUNNO;
}

enum verdict restrict_unauth_pipelining(struct evaluation *evaluation, const char *name UNUSED)
{
    if ((evaluation->session->flags & SESSION_BAD_PIPELINING) == 0)
        return VERDICT_DUNNO;
    return restrict_reject_subject(evaluation, 503, "5.5.0", "Improper use of SMTP command pipelining");
}

/* A real notification has one recipient: whoever sent the mail that could not be delivered. */
enum verdict restrict_multi_recipient_bounce(struct evaluation *evaluation, const char *name UNUSED)
{
    uint32_t earlier = evaluation->session->accepted_count;
    uint32_t limit = evaluation->stage == STAGE_DATA || evaluation->stage == STAGE_END_OF_DATA ? 1 : 0;
    if (evaluation->sender == NULL || *evaluation->sender != '\0' || earlier <= limit)
        return VERDICT_DUNNO;
    return restrict_reject_subject(evaluation, smtpd.multi_recipient_bounce_code, "5.5.3", "Multi-recipient bounce");
}
