/* SPDX-License-Identifier: ISC */
/*
 * restrict_server: check_*_{a,mx,ns}_access: an access table asked about the hosts behind a name, and about their
 * addresses. Whoever runs the DNS of that name chooses what is looked up, so such a table may refuse but never permit.
 */
#include "common/base/log.h"
#include "common/mail/hostname.h"
#include "common/access/restrict.h"

#define MAX_HOSTS 50 /* servers of one name, and addresses of one server, that are looked at */

/* One restriction's question. */
struct server_check {
    struct evaluation *evaluation;
    const char *table;
    enum dns_type type;
    enum restrict_stage subject;
    enum verdict verdict;
};

static const char *error_text(enum dns_status status)
{
    return status == DNS_FILTERED ? "DNS reply filter policy" : status == DNS_TEMPORARY ? "Host not found, try again" : status == DNS_INVALID ? "Malformed DNS server reply" :
           status == DNS_NO_DATA ? "Host found but no data record of requested type" : "Host not found";
}

/* The C library's words, as Postfix logs them. */
static const char *address_error_text(enum dns_status status)
{
    return status == DNS_TEMPORARY ? "Temporary failure in name resolution" :
           status == DNS_NO_NAME ? "Name or service not known" : "No address associated with hostname";
}

static bool try_address(struct server_check *check, const char *address)
{
    return restrict_access_try(check->evaluation, check->table, KEY_NETWORK, address, check->subject, &check->verdict);
}

/* True when the table decided about one of the addresses of a host. */
static bool try_addresses_of(struct server_check *check, const char *host)
{
    enum dns_status trouble = DNS_NO_NAME;
    bool found = false;
    for (unsigned i = 0; i < 2; i++) {
        struct dns_answer answer;
        if (!(i == 0 ? smtpd.uses_ipv4 : smtpd.uses_ipv6))
            continue;
        resolver_query_unfiltered(host, i == 0 ? DNS_A : DNS_AAAA, check->evaluation->session->scratch, &answer);
        found = found || answer.status == DNS_FOUND;
        if (trouble != DNS_TEMPORARY)
            trouble = (enum dns_status)answer.status;
        for (size_t j = 0; j < answer.count && j < MAX_HOSTS; j++)
            if (try_address(check, answer.records[j].data))
                return true;
    }
    if (!found && check->type != DNS_A)
        log_warning("Unable to look up %s host %s for %s %s: %s", dns_type_name((uint16_t)check->type), host,
                    restrict_class(check->subject), restrict_subject(check->evaluation, check->subject),
                    address_error_text(trouble));
    return false;
}

static bool try_host(struct server_check *check, const char *host)
{
    if (hostname_is_address(slice_of(host)))
        return try_address(check, host);
    if (check->type == DNS_A) /* about addresses only; the name has restrictions of its own */
        return try_addresses_of(check, host);
    return restrict_access_try(check->evaluation, check->table, KEY_DOMAIN, host, check->subject, &check->verdict) ||
           try_addresses_of(check, host);
}

static enum dns_status ask(struct server_check *check, const char *domain, struct dns_answer *answer)
{
    *answer = (struct dns_answer){.status = DNS_NO_NAME};
    if (hostname_is_valid(slice_of(domain)))
        resolver_query(domain, check->type, check->evaluation->session->scratch, answer);
    return (enum dns_status)answer->status;
}

/* A name without MX is its own mail exchanger; one without name servers has its parent's. */
static bool find_servers(struct server_check *check, const char *name, const char *domain, struct dns_answer *answer)
{
    struct arena *arena = check->evaluation->session->scratch;
    enum dns_status status = DNS_NO_NAME;
    if (check->type != DNS_A)
        status = ask(check, domain, answer);
    if (status == DNS_NULL_MX)
        return false;
    bool is_missing = status == DNS_NO_NAME || status == DNS_NO_DATA;
    if (is_missing && check->type != DNS_NS) {
        answer->records = arena_alloc(arena, sizeof *answer->records);
        answer->records[0].data = arena_strdup(arena, domain);
        answer->count = 1;
        return true;
    }
    while ((status == DNS_NO_NAME || status == DNS_NO_DATA) && (domain = strchr(domain, '.')) != NULL && domain[1] != '\0')
        status = ask(check, ++domain, answer);
    if (status != DNS_FOUND)
        log_warning("Unable to look up %s host for %s: %s", dns_type_name((uint16_t)check->type),
                    domain != NULL && domain[0] != '\0' && domain[1] != '\0' ? domain : name, error_text(status));
    return status == DNS_FOUND;
}

/* "[192.0.2.1]" is its own mail exchanger. */
static void try_literal(struct server_check *check, struct slice literal)
{
    if (!hostname_is_literal(literal))
        return;
    struct slice inside = slice_skip(literal, slice_starts_with_nocase(literal, SLICE("[IPv6:")) ? 6 : 1);
    try_address(check, arena_strndup(check->evaluation->session->scratch, inside.data, inside.len - 1));
}

static void try_name(struct server_check *check, const char *name)
{
    struct dns_answer answer = {0};
    const char *at = strrchr(name, '@');
    const char *domain = at != NULL ? at + 1 : name;
    if (*domain == '[') {
        if (check->type != DNS_NS)
            try_literal(check, slice_of(domain));
        return;
    }
    if (!find_servers(check, name, domain, &answer))
        return;
    for (size_t i = 0; i < answer.count && i < MAX_HOSTS; i++)
        if (try_host(check, answer.records[i].data))
            return;
}

static enum verdict forbid_permit(struct evaluation *evaluation, enum verdict verdict, const char *name, const char *subject)
{
    if (verdict != VERDICT_PERMIT || (evaluation->session->flags & SESSION_DISCARD) != 0)
        return verdict;
    log_warning("restriction %s returns OK for %s", name, subject);
    log_warning("this is not allowed for security reasons");
    log_warning("use DUNNO instead of OK if you want to make an exception");
    return restrict_broken(evaluation);
}

/* "check_sender_mx_access": the type stands in the name. */
static enum dns_type type_in(const char *name)
{
    struct slice text = slice_of(name);
    struct slice tail = slice_skip(text, text.len - strlen("mx_access"));
    return slice_equal_nocase(tail, SLICE("mx_access")) ? DNS_MX : slice_equal_nocase(tail, SLICE("ns_access")) ? DNS_NS : DNS_A;
}

static enum verdict check_servers(struct evaluation *evaluation, const char *name, const char *what, enum restrict_stage subject)
{
    struct server_check check = {evaluation, restrict_table_argument(evaluation, name), type_in(name), subject, VERDICT_DUNNO};
    if (check.table == NULL)
        return restrict_broken(evaluation);
    bool has_no_name = (subject == STAGE_CLIENT || subject == SUBJECT_REVERSE_CLIENT) && text_equal_nocase(what, "unknown");
    if (what == NULL || *what == '\0' || has_no_name)
        return VERDICT_DUNNO;
    try_name(&check, what);
    return forbid_permit(evaluation, check.verdict, name, what);
}

static const char *reverse_name_of(const struct evaluation *evaluation)
{
    const struct smtpd_client *client = evaluation->session->owner;
    return client->reverse_name;
}

enum verdict restrict_client_servers(struct evaluation *evaluation, const char *name)
{
    return check_servers(evaluation, name, evaluation->session->client_name, STAGE_CLIENT);
}

enum verdict restrict_reverse_client_servers(struct evaluation *evaluation, const char *name)
{
    return check_servers(evaluation, name, reverse_name_of(evaluation), SUBJECT_REVERSE_CLIENT);
}

enum verdict restrict_helo_servers(struct evaluation *evaluation, const char *name)
{
    return check_servers(evaluation, name, evaluation->session->helo_name, STAGE_HELO);
}

enum verdict restrict_sender_servers(struct evaluation *evaluation, const char *name)
{
    return check_servers(evaluation, name, evaluation->sender, STAGE_SENDER);
}

enum verdict restrict_recipient_servers(struct evaluation *evaluation, const char *name)
{
    return check_servers(evaluation, name, evaluation->recipient, STAGE_RECIPIENT);
}

/* The unverified name is the client's own claim: like above, it may only lead to a refusal. */
enum verdict restrict_reverse_client_access(struct evaluation *evaluation, const char *name)
{
    const char *table = restrict_table_argument(evaluation, name), *reverse_name = reverse_name_of(evaluation);
    enum verdict verdict = VERDICT_DUNNO;
    if (table == NULL)
        return restrict_broken(evaluation);
    if (!restrict_access_try(evaluation, table, KEY_DOMAIN, reverse_name, SUBJECT_REVERSE_CLIENT, &verdict))
        restrict_access_try(evaluation, table, KEY_NETWORK, evaluation->session->client_address, SUBJECT_REVERSE_CLIENT,
                            &verdict);
    return forbid_permit(evaluation, verdict, name, reverse_name);
}
