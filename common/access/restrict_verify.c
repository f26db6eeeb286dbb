/* SPDX-License-Identifier: ISC */
/* restrict_verify: reject_unverified_sender and reject_unverified_recipient: would the servers that are nearest to it take mail
 * for this address? The null sender is not asked about. */
#include "common/access/restrict.h"
#include "common/access/trace.h"
#include "common/access/verify_client.h"

/* The sender's or the recipient's settings. */
struct subject {
    enum restrict_stage stage;
    const char *dsn; /* "1.1": the class follows */
    const struct unverified_settings *settings;
};

static enum verdict put_off(struct evaluation *evaluation, const struct subject *subject, int64_t code, const char *text)
{
    const char *dsn = arena_printf(evaluation->session->scratch, "4.%s", subject->dsn);
    if (subject->settings->tempfail_defers)
        return restrict_reject(evaluation, code, dsn, "%s", text);
    restrict_defer_if(evaluation, &evaluation->defer_if_permit, code, dsn, text);
    return VERDICT_DUNNO;
}

static enum verdict judge(struct evaluation *evaluation, const struct subject *subject, const char *address,
                          enum verify_status status, const char *why)
{
    struct arena *arena = evaluation->session->scratch;
    int64_t code = status == VERIFY_OK ? 0 :
                   status == VERIFY_BOUNCED ? subject->settings->reject_code : subject->settings->defer_code;
    if (code >= 400 && *subject->settings->reason != '\0')
        why = subject->settings->reason;
    if (code / 100 == 4)
        return put_off(evaluation, subject, code,
                       arena_printf(arena, "<%s>: %s rejected: unverified address: %.250s", address,
                                    restrict_class(subject->stage), why));
    if (code / 100 != 5)
        return VERDICT_DUNNO;
    return restrict_reject(evaluation, code, arena_printf(arena, "5.%s", subject->dsn), "<%s>: %s rejected: undeliverable address: %s",
                           address, restrict_class(subject->stage), why);
}

/* What a probe would do, for whoever must not send one. */
static void note_probe(struct evaluation *evaluation, const struct subject *subject, const char *address)
{
    const struct address_answer *answer = subject->stage == STAGE_SENDER ? restrict_sender_answer(evaluation) :
                                                                           restrict_recipient_answer(evaluation);
    if (answer != NULL)
        trace_note("nothing is remembered of <%s>, and no probe was sent: the server would ask transport %s%s%s, wait %lld seconds at most, "
                   "and judge by the result; this is what it says when that takes longer", address, answer->transport,
                   *answer->next_hop != '\0' ? " at " : "", answer->next_hop, (long long)(verify_settings.poll_ms / 1000));
}

static bool ask(struct evaluation *evaluation, const struct subject *subject, const char *address, enum verify_status *status,
                const char **why)
{
    const struct supposition *supposed = ((const struct smtpd_client *)evaluation->session->owner)->supposed;
    struct arena *arena = evaluation->session->scratch;
    if (supposed == NULL)
        return verify_address(address, arena, status, why);
    const struct supposed_address *known = subject->stage == STAGE_SENDER ? &supposed->sender : &supposed->recipient;
    bool is_supposed = known->address != NULL && strcmp(known->address, address) == 0;
    bool is_known = is_supposed || verify_recall(address, arena, status, why);
    if (is_supposed) {
        *status = (enum verify_status)known->status;
        *why = known->text;
    }
    if (!is_known)
        note_probe(evaluation, subject, address);
    return true;
}

static enum verdict check(struct evaluation *evaluation, const struct subject *subject, const char *address)
{
    static const char *const words[] = {"deliverable", "temporary failure", "undeliverable", "not known yet"};
    struct arena *arena = evaluation->session->scratch;
    enum verify_status status;
    const char *why;
    if (address == NULL || *address == '\0')
        return VERDICT_DUNNO;
    if (!ask(evaluation, subject, address, &status, &why))
        return put_off(evaluation, subject, 450,
                       arena_printf(arena, "<%s>: %s rejected: address verification problem", address,
                                    restrict_class(subject->stage)));
    trace_input("address verification", address, "%s: %s", words[status], why);
    return judge(evaluation, subject, address, status, why);
}

enum verdict restrict_unverified_sender(struct evaluation *evaluation, const char *name UNUSED)
{
    static const struct subject sender = {STAGE_SENDER, "1.7", &smtpd.unverified_sender};
    return check(evaluation, &sender, evaluation->sender);
}

enum verdict restrict_unverified_recipient(struct evaluation *evaluation, const char *name UNUSED)
{
    static const struct subject recipient = {STAGE_RECIPIENT, "1.1", &smtpd.unverified_recipient};
    return check(evaluation, &recipient, evaluation->recipient);
}
