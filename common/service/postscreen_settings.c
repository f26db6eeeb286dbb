/* SPDX-License-Identifier: ISC */
/*
 * postscreen_settings: what main.cf says about postscreen, read once by open(). The supervisor has put the values that
 * hold for postscreen's own line in master.cf into this service's configuration (master/plan.c).
 */
#include <string.h>

#include "common/base/log.h"
#include "common/service/postscreen_internal.h"
#include "common/smtp/server/reply_filter.h"

struct postscreen_settings postscreen;

static struct arena *arena; /* lives as long as the process */

static enum postscreen_action read_action(const struct config *config, const char *parameter)
{
    const char *value = config_string(config, parameter);
    if (strcmp(value, "drop") == 0)
        return ACTION_DROP;
    if (strcmp(value, "enforce") == 0)
        return ACTION_ENFORCE;
    if (strcmp(value, "ignore") != 0 && strcmp(value, "continue") != 0)
        log_fatal("bad %s value: %s", parameter, value);
    return ACTION_IGNORE;
}

static void read_sites(const struct config *config)
{
    char **items;
    size_t count = config_split_list(config_string(config, "postscreen_dnsbl_sites"), arena, &items);
    postscreen.sites = arena_alloc_array(arena, count + 1, sizeof *postscreen.sites);
    for (size_t i = 0; i < count; i++)
        if (!postscreen_site_parse(items[i], &postscreen.sites[postscreen.site_count++]))
            log_fatal("postscreen_dnsbl_sites: bad site \"%s\": need domain, domain=d.d.d.d or domain=d.d.d.d*weight", items[i]);
}

static void read_tests(const struct config *config)
{
    static const char *const actions[TEST_COUNT] = {
        "postscreen_greet_action", "postscreen_dnsbl_action", "postscreen_pipelining_action",
        "postscreen_non_smtp_command_action", "postscreen_bare_newline_action"};
    for (unsigned i = 0; i < TEST_COUNT; i++)
        postscreen.actions[i] = read_action(config, actions[i]);
    postscreen.deny_action = read_action(config, "postscreen_denylist_action");
    postscreen.teaser = config_string(config, "postscreen_greet_banner");
    postscreen.tests |= *postscreen.teaser != '\0' ? TEST_BIT(TEST_PREGREET) : 0u;
    postscreen.tests |= postscreen.site_count > 0 ? TEST_BIT(TEST_DNSBL) : 0u;
    postscreen.tests |= config_bool(config, "postscreen_pipelining_enable") ? TEST_BIT(TEST_PIPELINING) : 0u;
    postscreen.tests |= config_bool(config, "postscreen_non_smtp_command_enable") ? TEST_BIT(TEST_NON_SMTP) : 0u;
    postscreen.tests |= config_bool(config, "postscreen_bare_newline_enable") ? TEST_BIT(TEST_BARE_NEWLINE) : 0u;
    postscreen.ttl_s[TEST_PREGREET] = config_seconds(config, "postscreen_greet_ttl");
    postscreen.ttl_s[TEST_DNSBL] = config_seconds(config, "postscreen_dnsbl_max_ttl");
    postscreen.ttl_s[TEST_PIPELINING] = config_seconds(config, "postscreen_pipelining_ttl");
    postscreen.ttl_s[TEST_NON_SMTP] = config_seconds(config, "postscreen_non_smtp_command_ttl");
    postscreen.ttl_s[TEST_BARE_NEWLINE] = config_seconds(config, "postscreen_bare_newline_ttl");
    postscreen.dnsbl_min_ttl_s = config_seconds(config, "postscreen_dnsbl_min_ttl");
    postscreen.dnsbl_max_ttl_s = config_seconds(config, "postscreen_dnsbl_max_ttl");
    postscreen.dnsbl_threshold = config_int(config, "postscreen_dnsbl_threshold");
    postscreen.allow_threshold = config_int(config, "postscreen_dnsbl_allowlist_threshold");
    postscreen.dnsbl_timeout_s = config_seconds(config, "postscreen_dnsbl_timeout");
    postscreen.dnsbl_reply_map = config_string(config, "postscreen_dnsbl_reply_map");
}

static void read_times(const struct config *config)
{
    struct config *stressed = config_with_overrides(config, (const char *[]){"stress"}, (const char *[]){"yes"}, 1);
    for (unsigned i = 0; i < 2; i++) {
        const struct config *which = i == 0 ? config : stressed;
        postscreen.greet_wait_s[i] = config_seconds(which, "postscreen_greet_wait");
        postscreen.command_time_s[i] = config_seconds(which, "postscreen_command_time_limit");
    }
    config_free(stressed);
    postscreen.connection_limit = config_int(config, "postscreen_client_connection_count_limit");
    postscreen.pre_queue_limit = config_int(config, "postscreen_pre_queue_limit");
    postscreen.post_queue_limit = config_int(config, "postscreen_post_queue_limit");
    postscreen.command_count_limit = config_int(config, "postscreen_command_count_limit");
    postscreen.retention_s = config_seconds(config, "postscreen_cache_retention_time");
    postscreen.line_limit = config_int(config, "line_length_limit");
    if (postscreen.line_limit > STREAM_IN_SIZE / 2)
        postscreen.line_limit = STREAM_IN_SIZE / 2;
}

/* Both are taken as they are written: their names are those of a reply, but for the default's. */
static const char *read_footer(const struct config *config)
{
    const char *footer = config_string(config, "postscreen_reject_footer");
    return strcmp(footer, "$smtpd_reject_footer") == 0 ? config_string(config, "smtpd_reject_footer") : footer;
}

static void read_expansion_filter(const struct config *config)
{
    const char *filter = config_string(config, "postscreen_expansion_filter");
    if (strcmp(filter, "$smtpd_expansion_filter") == 0)
        filter = config_string(config, "smtpd_expansion_filter");
    expansion_filter_read(filter, postscreen.may_expand);
}

/* Certificates and the rest are those of the smtpd service behind. */
static void read_tls(const struct config *config)
{
    const char *level = config_string(config, "postscreen_tls_security_level");
    bool is_set = *level != '\0';
    if (is_set && strcmp(level, "none") != 0 && strcmp(level, "may") != 0 && strcmp(level, "encrypt") != 0)
        log_fatal("Invalid TLS level \"%s\"", level);
    postscreen.demands_tls = is_set ? strcmp(level, "encrypt") == 0 : config_bool(config, "postscreen_enforce_tls");
    postscreen.offers_tls = postscreen.demands_tls || (is_set ? strcmp(level, "may") == 0 : config_bool(config, "postscreen_use_tls"));
}

static void read_dialogue(const struct config *config)
{
    int64_t size = config_int(config, "message_size_limit");
    postscreen.my_hostname = config_string(config, "myhostname");
    postscreen.greeting = arena_printf(arena, "220 %s", config_string(config, "smtpd_banner"));
    postscreen.command_filter = config_string(config, "postscreen_command_filter");
    postscreen.ehlo_maps = config_string(config, "postscreen_discard_ehlo_keyword_address_maps");
    postscreen.ehlo_mask = smtp_ehlo_mask(config_string(config, "postscreen_discard_ehlo_keywords"), "postscreen_discard_ehlo_keywords");
    postscreen.forbidden_commands = config_string(config, "postscreen_forbidden_commands");
    read_tls(config);
    postscreen.reject_footer = read_footer(config);
    read_expansion_filter(config);
    postscreen.reject_footer_maps = config_string(config, "postscreen_reject_footer_maps");
    postscreen.hides_vrfy = config_bool(config, "disable_vrfy_command"); /* in EHLO, as in Postfix */
    postscreen.disable_vrfy = config_bool(config, "postscreen_disable_vrfy_command");
    postscreen.helo_required = config_bool(config, "postscreen_helo_required");
    postscreen.soft_bounce = config_bool(config, "soft_bounce");
    postscreen.use_utf8 = config_bool(config, "smtputf8_enable");
    postscreen.message_size_limit = size > 0 ? (uint64_t)size : 0;
    postscreen.delay_resolution = (unsigned)config_int(config, "delay_logging_resolution_limit");
}

bool postscreen_configure(const struct config *config)
{
    const char *protocol = config_string(config, "postscreen_upstream_proxy_protocol");
    postscreen.enabled = config_bool(config, "smtpd_behind_postscreen");
    if (!postscreen.enabled)
        return false;
    arena = arena_new();
    read_sites(config);
    read_tests(config);
    read_times(config);
    read_dialogue(config);
    postscreen.access_list.name = "postscreen_access_list";
    postscreen.access_list.count = config_split_list(config_string(config, "postscreen_access_list"), arena, &postscreen.access_list.words);
    client_list_parse(&postscreen.interfaces, "postscreen_allowlist_interfaces",
                      config_string(config, "postscreen_allowlist_interfaces"), arena);
    postscreen.cache_map = config_string(config, "postscreen_cache_map");
    postscreen.respectful = config_bool(config, "respectful_logging");
    postscreen.proxy_timeout_s = config_seconds(config, "postscreen_upstream_proxy_timeout");
    postscreen.behind_proxy = *protocol != '\0';
    if (postscreen.behind_proxy && strcmp(protocol, "haproxy") != 0)
        log_fatal("unsupported postscreen_upstream_proxy_protocol value: %s", protocol);
    return true;
}

bool postscreen_is_behind_proxy(int64_t *timeout_s)
{
    *timeout_s = postscreen.proxy_timeout_s;
    return postscreen.behind_proxy;
}
