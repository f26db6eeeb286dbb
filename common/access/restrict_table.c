/* SPDX-License-Identifier: ISC */
/* restrict_table: every restriction by name. To add one: write its function, name it here. Pure. */
#include "common/access/restrict.h"

static const struct restriction restrictions[] = {
    {"permit", restrict_permit, false},
    {"reject", restrict_refuse, false},
    {"defer", restrict_defer, false},
    {"defer_if_permit", restrict_defer_if_permit, false},
    {"defer_if_reject", restrict_defer_if_reject, false},
    {"warn_if_reject", restrict_warn_if_reject, false},
    {"sleep", restrict_sleep, true},
    {"permit_mynetworks", restrict_permit_mynetworks, false},
    {"permit_inet_interfaces", restrict_permit_inet_interfaces, false},
    {"permit_sasl_authenticated", restrict_permit_sasl_authenticated, false},
    {"permit_tls_clientcerts", restrict_permit_tls_clientcerts, false},
    {"permit_tls_all_clientcerts", restrict_permit_tls_clientcerts, false},
    {"reject_sender_login_mismatch", restrict_sender_mismatch, false},
    {"reject_authenticated_sender_login_mismatch", restrict_authenticated_mismatch, false},
    {"reject_unauthenticated_sender_login_mismatch", restrict_unauthenticated_mismatch, false},
    {"reject_known_sender_login_mismatch", restrict_known_mismatch, false},
    {"check_sasl_access", restrict_check_sasl_access, true},
    {"reject_plaintext_session", restrict_plaintext_session, false},
    {"check_ccert_access", restrict_check_ccert_access, true},
    {"permit_auth_destination", restrict_permit_auth_destination, false},
    {"permit_mx_backup", restrict_permit_mx_backup, false},
    {"permit_naked_ip_address", restrict_naked_address, false},
    {"reject_unauth_destination", restrict_reject_unauth_destination, false},
    {"defer_unauth_destination", restrict_defer_unauth_destination, false},
    {"check_relay_domains", restrict_check_relay_domains, false},
    {"reject_invalid_helo_hostname", restrict_invalid_helo, false},
    {"reject_invalid_hostname", restrict_invalid_helo, false},
    {"reject_non_fqdn_helo_hostname", restrict_non_fqdn_helo, false},
    {"reject_non_fqdn_hostname", restrict_non_fqdn_helo, false},
    {"reject_non_fqdn_sender", restrict_non_fqdn_sender, false},
    {"reject_non_fqdn_recipient", restrict_non_fqdn_recipient, false},
    {"reject_unlisted_sender", restrict_unlisted_sender, false},
    {"reject_unlisted_recipient", restrict_unlisted_recipient, false},
    {"check_recipient_maps", restrict_unlisted_recipient, false},
    {"reject_unauth_pipelining", restrict_unauth_pipelining, false},
    {"reject_multi_recipient_bounce", restrict_multi_recipient_bounce, false},
    {"check_client_access", restrict_check_client_access, true},
    {"check_helo_access", restrict_check_helo_access, true},
    {"check_sender_access", restrict_check_sender_access, true},
    {"check_recipient_access", restrict_check_recipient_access, true},
    {"check_etrn_access", restrict_check_etrn_access, true},
    {"reject_unverified_sender", restrict_unverified_sender, false},
    {"reject_unverified_recipient", restrict_unverified_recipient, false},
    {"check_policy_service", restrict_policy_service, true},
    {"reject_unknown_client_hostname", restrict_unknown_client, false},
    {"reject_unknown_client", restrict_unknown_client, false},
    {"reject_unknown_reverse_client_hostname", restrict_unknown_reverse_client, false},
    {"reject_unknown_helo_hostname", restrict_unknown_helo, false},
    {"reject_unknown_hostname", restrict_unknown_helo, false},
    {"reject_unknown_sender_domain", restrict_unknown_sender_domain, false},
    {"reject_unknown_recipient_domain", restrict_unknown_recipient_domain, false},
    {"reject_rbl_client", restrict_rbl_client, true},
    {"reject_rbl", restrict_rbl_client, true},
    {"reject_maps_rbl", restrict_maps_rbl, false},
    {"reject_rhsbl_client", restrict_rhsbl_client, true},
    {"reject_rhsbl_reverse_client", restrict_rhsbl_reverse_client, true},
    {"reject_rhsbl_helo", restrict_rhsbl_helo, true},
    {"reject_rhsbl_sender", restrict_rhsbl_sender, true},
    {"reject_rhsbl_recipient", restrict_rhsbl_recipient, true},
    {"permit_dnswl_client", restrict_dnswl_client, true},
    {"permit_rhswl_client", restrict_rhswl_client, true},
    {"check_reverse_client_hostname_access", restrict_reverse_client_access, true},
    {"check_client_a_access", restrict_client_servers, true},
    {"check_client_mx_access", restrict_client_servers, true},
    {"check_client_ns_access", restrict_client_servers, true},
    {"check_reverse_client_hostname_a_access", restrict_reverse_client_servers, true},
    {"check_reverse_client_hostname_mx_access", restrict_reverse_client_servers, true},
    {"check_reverse_client_hostname_ns_access", restrict_reverse_client_servers, true},
    {"check_helo_a_access", restrict_helo_servers, true},
    {"check_helo_mx_access", restrict_helo_servers, true},
    {"check_helo_ns_access", restrict_helo_servers, true},
    {"check_sender_a_access", restrict_sender_servers, true},
    {"check_sender_mx_access", restrict_sender_servers, true},
    {"check_sender_ns_access", restrict_sender_servers, true},
    {"check_recipient_a_access", restrict_recipient_servers, true},
    {"check_recipient_mx_access", restrict_recipient_servers, true},
    {"check_recipient_ns_access", restrict_recipient_servers, true},
};

const struct restriction *restrict_at(const struct restrict_list *list, size_t at)
{
    return list->restrictions != NULL ? list->restrictions[at] : restrict_find(list->words[at]);
}

const struct restriction *restrict_find(const char *name)
{
    for (size_t i = 0; i < sizeof restrictions / sizeof restrictions[0]; i++)
        if (text_equal_nocase(restrictions[i].name, name))
            return &restrictions[i];
    return NULL;
}
