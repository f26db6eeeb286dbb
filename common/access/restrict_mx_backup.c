/* SPDX-License-Identifier: ISC */
/*
 * restrict_mx_backup: permit_mx_backup: a recipient's domain lets us be its backup mail exchanger by naming us in its
 * DNS. Whoever owns a domain can do that, so permit_mx_backup_networks should say whose. What DNS cannot tell now turns
 * a later refusal into a 450.
 */
#include "common/access/restrict.h"
#include "common/base/log.h"
#include "common/mail/address_parse.h"

static void put_off(struct evaluation *evaluation, const char *text)
{
    const char *reply = arena_printf(evaluation->session->scratch, "<%s>: %s rejected: %s", evaluation->recipient,
                                     restrict_class(STAGE_RECIPIENT), text);
    restrict_defer_if(evaluation, &evaluation->defer_if_reject, 450, "4.4.4", reply);
}

static const char *error_text(uint8_t status)
{
    return status == DNS_FILTERED ? "DNS reply filter policy" : status == DNS_TEMPORARY ? "Host not found, try again" :
           status == DNS_NO_DATA ? "Host found but no data record of requested type" :
           status == DNS_INVALID ? "Malformed or unexpected name server reply" : "Host not found";
}

/* The C library's words, as Postfix gives them. */
static const char *native_error_text(uint8_t status)
{
    return status == DNS_TEMPORARY ? "Temporary failure in name resolution" :
           status == DNS_NO_NAME ? "Name or service not known" : "No address associated with hostname";
}

typedef void query_function(const char *name, enum dns_type type, struct arena *arena, struct dns_answer *answer);

/* All addresses of the host, in both families. DNS_FOUND, or why there are none. */
static uint8_t find_addresses(struct evaluation *evaluation, const char *host, query_function *query, struct dns_answer answers[2])
{
    uint8_t trouble = DNS_NO_NAME;
    bool found = false;
    for (unsigned i = 0; i < 2; i++) {
        answers[i] = (struct dns_answer){.status = DNS_NO_DATA};
        if (!(i == 0 ? smtpd.uses_ipv4 : smtpd.uses_ipv6))
            continue;
        query(host, i == 0 ? DNS_A : DNS_AAAA, evaluation->session->scratch, &answers[i]);
        found = found || answers[i].status == DNS_FOUND;
        if (trouble != DNS_TEMPORARY)
            trouble = answers[i].status;
    }
    return found ? (uint8_t)DNS_FOUND : trouble;
}

static bool has_our_address(struct evaluation *evaluation, const char *host)
{
    struct arena *arena = evaluation->session->scratch;
    struct dns_answer answers[2];
    uint8_t status = find_addresses(evaluation, host, resolver_query_unfiltered, answers);
    if (status != DNS_FOUND)
        put_off(evaluation, arena_printf(arena, "Unable to look up mail exchanger host %s: %s", host, native_error_text(status)));
    for (unsigned i = 0; i < 2; i++)
        for (size_t j = 0; j < answers[i].count; j++)
            if (client_list_find(&smtpd.own_addresses, NULL, answers[i].records[j].data, arena) == CLIENT_LIST_YES ||
                client_list_find(&smtpd.proxy_addresses, NULL, answers[i].records[j].data, arena) == CLIENT_LIST_YES)
                return true;
    return false;
}

static bool is_our_name(struct evaluation *evaluation, const char *host)
{
    struct address_answer answer;
    struct arena *arena = evaluation->session->scratch;
    return lookup_address(arena_printf(arena, "postmaster@%s", host), false, arena, &answer) && answer.address_class == CLASS_LOCAL;
}

/* Names first: only when none is ours go through the trouble of asking for addresses. */
static bool are_ours(struct evaluation *evaluation, const struct dns_record *hosts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_our_name(evaluation, hosts[i].data))
            return true;
    for (size_t i = 0; i < count; i++)
        if (has_our_address(evaluation, hosts[i].data))
            return true;
    return false;
}

/* Every address of a primary exchanger must be in permit_mx_backup_networks. */
static bool is_allowed(struct evaluation *evaluation, const char *host)
{
    struct arena *arena = evaluation->session->scratch;
    struct dns_answer answers[2];
    uint8_t status = find_addresses(evaluation, host, resolver_query, answers);
    if (status != DNS_FOUND) {
        put_off(evaluation, arena_printf(arena, "Unable to look up host %s as mail exchanger: %s", host, error_text(status)));
        return false;
    }
    for (unsigned i = 0; i < 2; i++)
        for (size_t j = 0; j < answers[i].count; j++)
            switch (client_list_find(&smtpd.mx_backup_networks, host, answers[i].records[j].data, arena)) {
            case CLIENT_LIST_YES:
                break;
            case CLIENT_LIST_UNKNOWN:
                log_warning("all_auth_mx_addr: permit_mx_backup_networks lookup error for address %s for %s",
                            answers[i].records[j].data, host);
                put_off(evaluation, arena_printf(arena, "Unable to verify host %s as mail exchanger", host));
                return false;
            default:
                return false;
            }
    return true;
}

/* Best preference first; ties stay as they came. */
static size_t sort_by_preference(struct dns_answer *answer)
{
    size_t primaries = 1;
    for (size_t i = 1; i < answer->count; i++) {
        struct dns_record moved = answer->records[i];
        size_t at = i;
        for (; at > 0 && answer->records[at - 1].preference > moved.preference; at--)
            answer->records[at] = answer->records[at - 1];
        answer->records[at] = moved;
    }
    while (primaries < answer->count && answer->records[primaries].preference == answer->records[0].preference)
        primaries++;
    return primaries;
}

static bool is_backup_for(struct evaluation *evaluation, const char *domain)
{
    struct arena *arena = evaluation->session->scratch;
    struct dns_answer answer;
    resolver_query(domain, DNS_MX, arena, &answer);
    if (answer.status == DNS_TEMPORARY || answer.status == DNS_FILTERED)
        put_off(evaluation, arena_printf(arena, "Unable to look up mail exchanger information: %s", error_text(answer.status)));
    if (answer.status != DNS_FOUND)
        return false;
    size_t primaries = sort_by_preference(&answer);
    if (are_ours(evaluation, answer.records, primaries) ||
        !are_ours(evaluation, answer.records + primaries, answer.count - primaries))
        return false;
    for (size_t i = 0; smtpd.mx_backup_networks.count > 0 && i < primaries; i++)
        if (!is_allowed(evaluation, answer.records[i].data))
            return false;
    return true;
}

enum verdict restrict_permit_mx_backup(struct evaluation *evaluation, const char *name)
{
    enum verdict verdict = restrict_permit_auth_destination(evaluation, name);
    if (verdict != VERDICT_DUNNO || evaluation->recipient == NULL)
        return verdict;
    const struct address_answer *answer = restrict_recipient_answer(evaluation);
    if (answer->address_class != CLASS_DEFAULT) /* ours, with routing in its local part */
        return VERDICT_DUNNO;
    const char *domain = arena_slice(evaluation->session->scratch, address_domain(slice_of(answer->address)));
    if (*domain == '\0' || *domain == '[')
        return VERDICT_DUNNO;
    return is_backup_for(evaluation, domain) ? VERDICT_PERMIT : VERDICT_DUNNO;
}
