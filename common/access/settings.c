/* SPDX-License-Identifier: ISC */
/*
 * settings: reads main.cf for this service and refuses to start as an open relay. Called by role->open with the
 * rights of the caller: files named in match lists are read here and never again.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>

#include "common/base/log.h"
#include "common/access/policy_service.h"
#include "common/access/restrict.h"
#include "common/access/verify_client.h"
#include "common/access/spf.h"

struct smtpd_settings smtpd;

static struct arena *arena; /* lives as long as the process */

static void read_list(struct restrict_list *list, const struct config *config, const char *parameter)
{
    const char *value = config_string_or_null(config, parameter);
    list->name = parameter;
    list->count = config_split_list(value != NULL ? value : "", arena, &list->words);
    list->restrictions = arena_alloc_array(arena, list->count, sizeof(struct restriction *));
    for (size_t i = 0; i < list->count; i++)
        list->restrictions[i] = restrict_find(list->words[i]);
}

static void read_restrictions(const struct config *config)
{
    static const char *const parameters[STAGE_COUNT] = {
        "smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions", "smtpd_relay_restrictions",
        "smtpd_recipient_restrictions", "smtpd_data_restrictions", "smtpd_end_of_data_restrictions",
        "smtpd_etrn_restrictions"};
    char **names;
    smtpd.class_count = config_split_list(config_string(config, "smtpd_restriction_classes"), arena, &names);
    smtpd.classes = arena_alloc_array(arena, smtpd.class_count, sizeof *smtpd.classes);
    for (size_t i = 0; i < smtpd.class_count; i++) {
        if (config_string_or_null(config, names[i]) == NULL)
            log_fatal("restriction class `%s' needs a definition", names[i]);
        read_list(&smtpd.classes[i], config, names[i]);
    }
    read_list(&smtpd.logged_permits, config, "smtpd_log_access_permit_actions");
    for (unsigned i = 0; i < STAGE_COUNT; i++)
        read_list(&smtpd.lists[i], config, parameters[i]);
}

/* --- the open-relay check ------------------------------------------------------------------ */

static bool protects_relaying(const struct restrict_list *list, unsigned depth)
{
    static const char *const words[] = {"reject_unauth_destination", "defer_unauth_destination", "check_relay_domains",
                                        "reject", "defer", "defer_if_permit"};
    for (size_t i = 0; i < list->count; i++) {
        for (unsigned j = 0; j < sizeof words / sizeof words[0]; j++)
            if (text_equal_nocase(list->words[i], words[j]) &&
                (i == 0 || !text_equal_nocase(list->words[i - 1], "warn_if_reject")))
                return true;
        for (size_t j = 0; j < smtpd.class_count && depth < 10; j++)
            if (text_equal_nocase(smtpd.classes[j].name, list->words[i]) && protects_relaying(&smtpd.classes[j], depth + 1))
                return true;
    }
    return false;
}

static void check_relay_protection(void)
{
    if (protects_relaying(&smtpd.lists[STAGE_RELAY], 0) || protects_relaying(&smtpd.lists[STAGE_RECIPIENT], 0))
        return;
    log_fatal("in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working "
              "instance of: reject_unauth_destination, defer_unauth_destination, reject, defer, defer_if_permit or "
              "check_relay_domains");
}

/* --- addresses --------------------------------------------------------------------------------- */

static void add_all_interfaces(void)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0) {
        log_warning("cannot list the addresses of this host: %m");
        return;
    }
    for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
        char text[INET6_ADDRSTRLEN];
        int family = one->ifa_addr != NULL ? one->ifa_addr->sa_family : AF_UNSPEC;
        const void *address = family == AF_INET ? (const void *)&((struct sockaddr_in *)one->ifa_addr)->sin_addr :
                              family == AF_INET6 ? (const void *)&((struct sockaddr_in6 *)one->ifa_addr)->sin6_addr : NULL;
        if (address != NULL && inet_ntop(family, address, text, sizeof text) != NULL)
            client_list_add_address(&smtpd.own_addresses, text, arena);
    }
    freeifaddrs(all);
}

static void read_proxy_addresses(const struct config *config)
{
    char **items;
    size_t count = config_split_list(config_string(config, "proxy_interfaces"), arena, &items);
    smtpd.proxy_addresses.parameter = "proxy_interfaces";
    for (size_t i = 0; i < count; i++)
        client_list_add_address(&smtpd.proxy_addresses, items[i], arena);
}

static void read_own_addresses(const struct config *config)
{
    char **items;
    size_t count = config_split_list(config_string(config, "inet_interfaces"), arena, &items);
    smtpd.own_addresses.parameter = "inet_interfaces";
    for (size_t i = 0; i < count; i++) {
        if (text_equal_nocase(items[i], "all"))
            add_all_interfaces();
        else if (text_equal_nocase(items[i], "loopback-only") || text_equal_nocase(items[i], "localhost")) {
            client_list_add_address(&smtpd.own_addresses, "127.0.0.1", arena);
            client_list_add_address(&smtpd.own_addresses, "::1", arena);
        } else
            client_list_add_address(&smtpd.own_addresses, items[i], arena);
    }
}

static void read_addresses(const struct config *config)
{
    client_list_parse(&smtpd.mynetworks, "mynetworks", config_string(config, "mynetworks"), arena);
    smtpd.session_limit = (size_t)config_int(config, "smtpd_session_limit");
    client_list_parse(&smtpd.limit_exceptions, "smtpd_client_event_limit_exceptions",
                     config_string(config, "smtpd_client_event_limit_exceptions"), arena);
    client_list_parse(&smtpd.bare_newline_exclusions, "smtpd_forbid_bare_newline_exclusions",
                     config_string(config, "smtpd_forbid_bare_newline_exclusions"), arena);
    client_list_parse(&smtpd.policy_trace, "smtpd_policy_trace", config_string(config, "smtpd_policy_trace"), arena);
    client_list_parse(&smtpd.xclient_hosts, "smtpd_authorized_xclient_hosts",
                     config_string(config, "smtpd_authorized_xclient_hosts"), arena);
    client_list_parse(&smtpd.xforward_hosts, "smtpd_authorized_xforward_hosts",
                     config_string(config, "smtpd_authorized_xforward_hosts"), arena);
    client_list_parse(&smtpd.mx_backup_networks, "permit_mx_backup_networks",
                     config_string(config, "permit_mx_backup_networks"), arena);
    read_own_addresses(config);
    read_proxy_addresses(config);
}

static bool defers_at_once(const struct config *config, const char *parameter)
{
    const char *value = config_string(config, parameter);
    if (strcmp(value, "defer") == 0)
        return true;
    if (strcmp(value, "defer_if_permit") != 0)
        log_fatal("bad configuration: %s = %s", parameter, value);
    return false;
}

static void read_dns_settings(const struct config *config)
{
    char **items;
    size_t count = config_split_list(config_string(config, "inet_protocols"), arena, &items);
    for (size_t i = 0; i < count; i++) {
        smtpd.uses_ipv4 = smtpd.uses_ipv4 || text_equal_nocase(items[i], "ipv4") || text_equal_nocase(items[i], "all");
        smtpd.uses_ipv6 = smtpd.uses_ipv6 || text_equal_nocase(items[i], "ipv6") || text_equal_nocase(items[i], "all");
    }
    smtpd.unknown_client_code = config_int(config, "unknown_client_reject_code");
    smtpd.unknown_hostname_code = config_int(config, "unknown_hostname_reject_code");
    smtpd.unknown_address_code = config_int(config, "unknown_address_reject_code");
    smtpd.rbl_code = config_int(config, "maps_rbl_reject_code");
    smtpd.unknown_helo_defers = defers_at_once(config, "unknown_helo_hostname_tempfail_action");
    smtpd.unknown_address_defers = defers_at_once(config, "unknown_address_tempfail_action");
    smtpd.dns_reply_filter = config_string(config, "smtpd_dns_reply_filter");
    smtpd.maps_rbl_domain_count = config_split_list(config_string(config, "maps_rbl_domains"), arena, &smtpd.maps_rbl_domains);
    smtpd.rbl_reply_maps = config_string(config, "rbl_reply_maps");
    smtpd.default_rbl_reply = config_string(config, "default_rbl_reply");
}

static void read_verification(const struct config *config)
{
    smtpd.unverified_sender = (struct unverified_settings){
        config_int(config, "unverified_sender_reject_code"), config_int(config, "unverified_sender_defer_code"),
        config_string(config, "unverified_sender_reject_reason"), defers_at_once(config, "unverified_sender_tempfail_action")};
    smtpd.unverified_recipient = (struct unverified_settings){
        config_int(config, "unverified_recipient_reject_code"), config_int(config, "unverified_recipient_defer_code"),
        config_string(config, "unverified_recipient_reject_reason"),
        defers_at_once(config, "unverified_recipient_tempfail_action")};
    verify_configure(config);
}

static void read_codes(const struct config *config)
{
    read_verification(config);
    read_dns_settings(config);
    smtpd.reject_code = config_int(config, "reject_code");
    smtpd.defer_code = config_int(config, "defer_code");
    smtpd.relay_reject_code = config_int(config, "relay_domains_reject_code");
    smtpd.access_reject_code = config_int(config, "access_map_reject_code");
    smtpd.access_defer_code = config_int(config, "access_map_defer_code");
    smtpd.invalid_name_code = config_int(config, "invalid_hostname_reject_code");
    smtpd.non_fqdn_code = config_int(config, "non_fqdn_reject_code");
    smtpd.plaintext_code = config_int(config, "plaintext_reject_code");
    smtpd.relay_certificates = config_string(config, "relay_clientcerts");
    smtpd.multi_recipient_bounce_code = config_int(config, "multi_recipient_bounce_reject_code");
    smtpd.unknown_codes[CLASS_LOCAL] = config_int(config, "unknown_local_recipient_reject_code");
    smtpd.unknown_codes[CLASS_VIRTUAL_ALIAS] = config_int(config, "unknown_virtual_alias_reject_code");
    smtpd.unknown_codes[CLASS_VIRTUAL_MAILBOX] = config_int(config, "unknown_virtual_mailbox_reject_code");
    smtpd.unknown_codes[CLASS_RELAY] = config_int(config, "unknown_relay_recipient_reject_code");
    smtpd.knows_no_users[CLASS_LOCAL] = *config_string(config, "local_recipient_maps") == '\0';
    smtpd.knows_no_users[CLASS_VIRTUAL_MAILBOX] = *config_string(config, "virtual_mailbox_maps") == '\0';
    smtpd.knows_no_users[CLASS_RELAY] = *config_string(config, "relay_recipient_maps") == '\0';
}

static void read_proxy(const struct config *config)
{
    const char *protocol = config_string(config, "smtpd_upstream_proxy_protocol");
    smtpd.proxy_timeout = config_seconds(config, "smtpd_upstream_proxy_timeout");
    smtpd.behind_proxy = *protocol != '\0';
    if (smtpd.behind_proxy && strcmp(protocol, "haproxy") != 0)
        log_fatal("unsupported smtpd_upstream_proxy_protocol value: %s", protocol);
}

void smtpd_configure(const struct config *config, const char *service)
{
    arena = arena_new();
    smtpd.service = service;
    smtp_server_configure(&smtpd.server, config, arena);
    smtpd.stress = config_string(config, "stress");
    smtpd.null_access_key = config_string(config, "smtpd_null_access_lookup_key");
    smtpd.relay_first = config_bool(config, "smtpd_relay_before_recipient_restrictions");
    smtpd.reject_unlisted_recipient = config_bool(config, "smtpd_reject_unlisted_recipient");
    smtpd.reject_unlisted_sender = config_bool(config, "smtpd_reject_unlisted_sender");
    smtpd.soft_bounce = config_bool(config, "soft_bounce");
    smtpd.show_unknown_table = config_bool(config, "show_user_unknown_table_name");
    smtpd.trusts_routing = config_bool(config, "allow_untrusted_routing");
    smtpd.from_login_check = config_bool(config, "smtpd_from_login_check");
    smtpd.sender_login_maps = config_string(config, "smtpd_sender_login_maps");
    smtpd.looks_up_names = config_bool(config, "smtpd_peername_lookup");
    spf_configure(config, arena);
    read_proxy(config);
    read_codes(config);
    read_addresses(config);
    read_restrictions(config);
    policy_services_configure(config, arena);
    check_relay_protection();
}
