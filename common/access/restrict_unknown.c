/* SPDX-License-Identifier: ISC */
/*
 * restrict_unknown: does this client, HELO name or mail domain exist in DNS? What cannot be told now is put off with 450,
 * whatever the reply code for "no" is.
 */
#include "common/base/log.h"
#include "common/mail/address_parse.h"
#include "common/mail/hostname.h"
#include "common/access/restrict.h"

static const struct smtpd_client *client_of(const struct evaluation *evaluation)
{
    return evaluation->session->owner;
}

enum verdict restrict_unknown_client(struct evaluation *evaluation, const char *name UNUSED)
{
    uint8_t status = client_of(evaluation)->name_status;
    if (status == PEERNAME_OK)
        return VERDICT_DUNNO;
    return restrict_reject(evaluation, status == PEERNAME_TEMPORARY ? 450 : smtpd.unknown_client_code, "4.7.25",
                           "Client host rejected: cannot find your hostname, [%s]", evaluation->session->client_address);
}

enum verdict restrict_unknown_reverse_client(struct evaluation *evaluation, const char *name UNUSED)
{
    uint8_t status = client_of(evaluation)->reverse_status;
    if (status == PEERNAME_OK)
        return VERDICT_DUNNO;
    return restrict_reject(evaluation, status == PEERNAME_TEMPORARY ? 450 : smtpd.unknown_client_code, "4.7.1",
                           "Client host rejected: cannot find your reverse hostname, [%s]", evaluation->session->client_address);
}

/* Asks for each type until one is there. Trouble with one counts when no other is. */
static enum dns_status find_any(struct evaluation *evaluation, const char *name, const enum dns_type *types, size_t count,
                                bool mx_settles)
{
    enum dns_status worst = DNS_NO_NAME;
    if (!hostname_is_valid(slice_of(name))) /* a name that DNS could not hold */
        return DNS_NO_NAME;
    for (size_t i = 0; i < count; i++) {
        struct dns_answer answer;
        resolver_query(name, types[i], evaluation->session->scratch, &answer);
        if (answer.status == DNS_FOUND || answer.status == DNS_INVALID)
            return (enum dns_status)answer.status;
        bool is_settled = answer.status == DNS_NULL_MX || (answer.status == DNS_FILTERED && types[i] == DNS_MX);
        if (is_settled && mx_settles)
            return (enum dns_status)answer.status;
        if (worst != DNS_TEMPORARY && worst != DNS_FILTERED)
            worst = (enum dns_status)answer.status;
    }
    return worst;
}

/* smtpd_dns_reply_filter left nothing: that is an admin's doing, and no fault of the name. */
static bool is_filtered(enum dns_status status, const char *name, const char *what)
{
    if (status == DNS_FILTERED)
        log_warning("%s: %s lookup error: DNS reply filter drops all results", name, what);
    return status == DNS_FILTERED;
}

static enum verdict not_there(struct evaluation *evaluation, enum dns_status status, int64_t code, bool defers_now,
                              const char *dsn, const char *subject, enum restrict_stage stage, const char *what)
{
    if (status == DNS_INVALID)
        what = "Malformed DNS server reply";
    const char *text = arena_printf(evaluation->session->scratch, "<%s>: %s rejected: %s", subject, restrict_class(stage), what);
    if (status != DNS_TEMPORARY)
        return restrict_reject(evaluation, code, dsn, "%s", text);
    if (defers_now && !evaluation->warn_only)
        return restrict_reject(evaluation, 450, dsn, "%s", text);
    restrict_defer_if(evaluation, &evaluation->defer_if_permit, 450, dsn, text);
    return VERDICT_DUNNO;
}

enum verdict restrict_unknown_helo(struct evaluation *evaluation, const char *name)
{
    static const enum dns_type types[] = {DNS_A, DNS_AAAA, DNS_MX};
    const char *helo = evaluation->session->helo_name;
    if (helo == NULL)
        return VERDICT_DUNNO;
    if (helo[0] == '[')
        return restrict_invalid_helo(evaluation, name);
    enum dns_status status = find_any(evaluation, helo, types, 3, false);
    if (is_filtered(status, helo, "address or MX") || status == DNS_FOUND || status == DNS_NULL_MX) /* a null MX belongs to a host that takes no mail */
        return VERDICT_DUNNO;
    return not_there(evaluation, status, smtpd.unknown_hostname_code, smtpd.unknown_helo_defers, "4.7.1", helo, STAGE_HELO,
                     "Host not found");
}

static enum verdict unknown_domain(struct evaluation *evaluation, const struct address_answer *answer, const char *address,
                                   enum restrict_stage stage)
{
    static const enum dns_type types[] = {DNS_MX, DNS_A, DNS_AAAA};
    if (answer == NULL)
        return VERDICT_REJECT;
    if (answer->validity == ADDRESS_ERROR && answer->address_class == CLASS_DEFAULT)
        return restrict_lookup_failed(evaluation, address);
    if (answer->address_class != CLASS_DEFAULT && answer->address_class != CLASS_RELAY)
        return VERDICT_DUNNO;
    const char *domain = arena_slice(evaluation->session->scratch, address_domain(slice_of(answer->address)));
    if (*domain == '\0' || *domain == '[')
        return VERDICT_DUNNO;
    enum dns_status status = find_any(evaluation, domain, types, 3, true);
    if (status == DNS_FOUND || is_filtered(status, domain, "MX or address"))
        return VERDICT_DUNNO;
    bool is_sender = stage == STAGE_SENDER;
    if (status == DNS_NULL_MX)
        return restrict_reject(evaluation, is_sender ? 550 : 556, is_sender ? "5.7.27" : "5.1.10",
                               "<%s>: %s rejected: Domain %s does not accept mail (nullMX)", address, restrict_class(stage),
                               domain);
    return not_there(evaluation, status, smtpd.unknown_address_code, smtpd.unknown_address_defers, is_sender ? "4.1.8" : "4.1.2",
                     address, stage, "Domain not found");
}

enum verdict restrict_unknown_sender_domain(struct evaluation *evaluation, const char *name UNUSED)
{
    if (evaluation->sender == NULL || *evaluation->sender == '\0')
        return VERDICT_DUNNO;
    return unknown_domain(evaluation, restrict_sender_answer(evaluation), evaluation->sender, STAGE_SENDER);
}

enum verdict restrict_unknown_recipient_domain(struct evaluation *evaluation, const char *name UNUSED)
{
    if (evaluation->recipient == NULL)
        return VERDICT_DUNNO;
    return unknown_domain(evaluation, restrict_recipient_answer(evaluation), evaluation->recipient, STAGE_RECIPIENT);
}
