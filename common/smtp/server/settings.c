/* SPDX-License-Identifier: ISC */
/* settings: what main.cf says about the SMTP dialogue, read once a service. Called at the start of smtpd and submission. */
#include <string.h>

#include "common/base/log.h"
#include "common/smtp/server/reply_filter.h"
#include "common/smtp/server/session.h"
#include "common/smtp/server/transcript.h"
#include "common/tls/level.h"

static unsigned ehlo_keyword_bit(struct slice name)
{
    static const struct { const char *name; unsigned bit; } table[] = {
        {"PIPELINING", EHLO_PIPELINING}, {"SIZE", EHLO_SIZE}, {"VRFY", EHLO_VRFY}, {"ETRN", EHLO_ETRN},
        {"STARTTLS", EHLO_STARTTLS}, {"AUTH", EHLO_AUTH}, {"ENHANCEDSTATUSCODES", EHLO_ENHANCEDSTATUSCODES},
        {"8BITMIME", EHLO_8BITMIME}, {"DSN", EHLO_DSN}, {"SMTPUTF8", EHLO_SMTPUTF8}, {"CHUNKING", EHLO_CHUNKING},
        {"XCLIENT", EHLO_XCLIENT}, {"XFORWARD", EHLO_XFORWARD}, {"silent-discard", EHLO_SILENT_DISCARD}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (slice_equal_nocase(name, slice_of(table[i].name)))
            return table[i].bit;
    return 0;
}

unsigned smtp_ehlo_mask(const char *list, const char *parameter)
{
    struct slice rest = slice_of(list), word;
    unsigned mask = 0;
    while (slice_next_token(&rest, ", \t\r\n", &word)) {
        unsigned bit = ehlo_keyword_bit(word);
        if (bit == 0 && parameter != NULL)
            log_warning("unknown EHLO keyword \"%.*s\" in %s", SLICE_ARGS(word), parameter);
        mask |= bit;
    }
    return mask;
}

void smtp_server_drop_headers(struct smtp_server *server, const struct config *config, struct arena *arena)
{
    char **names;
    server->drop_header_count = config_split_list(config_string(config, "message_drop_headers"), arena, &names);
    server->drop_headers = arena_alloc_array(arena, server->drop_header_count, sizeof *server->drop_headers);
    for (size_t i = 0; i < server->drop_header_count; i++)
        server->drop_headers[i] = slice_of(names[i]);
}

static void read_stress(struct smtp_limits *limits, const struct config *config)
{
    limits->timeout = config_seconds(config, "smtpd_timeout");
    limits->hard_error_limit = config_int(config, "smtpd_hard_error_limit");
    limits->junk_command_limit = config_int(config, "smtpd_junk_command_limit");
    limits->per_request_deadline = config_bool(config, "smtpd_per_request_deadline");
}

void smtp_server_set_stress(struct smtp_server *server, bool is_stressed)
{
    const struct smtp_limits *limits = is_stressed ? &server->stressed : &server->calm;
    server->timeout = limits->timeout;
    server->hard_error_limit = limits->hard_error_limit;
    server->junk_command_limit = limits->junk_command_limit;
    server->per_request_deadline = limits->per_request_deadline;
}

static void read_limits(struct smtp_server *server, const struct config *config)
{
    struct config *stressed = config_with_overrides(config, (const char *[]){"stress"}, (const char *[]){"yes"}, 1);
    read_stress(&server->calm, config);
    read_stress(&server->stressed, stressed);
    config_free(stressed);
    smtp_server_set_stress(server, false);
    server->min_data_rate = config_int(config, "smtpd_min_data_rate");
    server->error_sleep = config_seconds(config, "smtpd_error_sleep_time");
    server->soft_error_limit = config_int(config, "smtpd_soft_error_limit");
    server->recipient_limit = config_int(config, "smtpd_recipient_limit");
    server->recipient_overshoot_limit = config_int(config, "smtpd_recipient_overshoot_limit");
    server->hopcount_limit = config_int(config, "hopcount_limit");
    server->bare_newline_reject_code = config_int(config, "smtpd_forbid_bare_newline_reject_code");
    int64_t size = config_int(config, "message_size_limit");
    server->message_size_limit = size > 0 ? (uint64_t)size : 0;
    server->line_length_limit = config_int(config, "line_length_limit");
    if (server->line_length_limit > STREAM_IN_SIZE / 2) /* what the input buffer can hold in any case */
        server->line_length_limit = STREAM_IN_SIZE / 2;
}

static void read_reply_rules(struct smtp_server *server, const struct config *config)
{
    server->soft_bounce = config_bool(config, "soft_bounce");
    server->reject_footer = config_string(config, "smtpd_reject_footer");
    server->reject_footer_maps = config_string(config, "smtpd_reject_footer_maps");
    server->reject_filter_maps = config_string(config, "smtpd_reject_filter_maps");
    server->filters_replies = server->soft_bounce || *server->reject_footer != '\0' || *server->reject_footer_maps != '\0' ||
                              *server->reject_filter_maps != '\0';
    server->notify_mask = smtp_fault_classes(config_string(config, "notify_classes"));
    server->history_limit = (size_t)config_int(config, "smtpd_history_flush_threshold");
    expansion_filter_read(config_string(config, "smtpd_expansion_filter"), server->may_expand);
}

/* The pattern in the default of smtpd_forbidden_commands is known by sight: no table need be asked for it. */
#define NON_LETTERS "regexp:{{/^[^A-Z]/ Bogus}}"

static void read_commands(struct smtp_server *server, const struct config *config, struct arena *arena)
{
    server->command_filter = config_string(config, "smtpd_command_filter");
    server->noop_command_count = config_split_list(config_string(config, "smtpd_noop_commands"), arena,
                                                   &server->noop_commands);
    server->forbidden_command_count = config_split_list(config_string(config, "smtpd_forbidden_commands"), arena,
                                                        &server->forbidden_commands);
    for (size_t i = 0; i < server->forbidden_command_count; i++)
        server->forbids_non_letters = server->forbids_non_letters || strcmp(server->forbidden_commands[i], NON_LETTERS) == 0;
}

static void read_auth(struct smtp_server *server, const struct config *config)
{
    int64_t limit = config_int(config, "smtpd_sasl_response_limit");
    server->auth_enabled = config_bool(config, "smtpd_sasl_auth_enable");
    server->auth_needs_tls = tls_level_of(config).auth_only;
    server->auth_old_keyword = config_bool(config, "broken_sasl_auth_clients");
    server->auth_in_header = config_bool(config, "smtpd_sasl_authenticated_header");
    server->auth_response_limit = limit > SASL_RESPONSE_LIMIT ? SASL_RESPONSE_LIMIT : (size_t)limit;
}

static void read_bare_newline(struct smtp_server *server, const struct config *config)
{
    const char *value = config_string(config, "smtpd_forbid_bare_newline");
    server->reject_bare_newline = text_equal_nocase(value, "reject");
    server->forbid_bare_newline = !text_equal_nocase(value, "no");
    server->note_bare_newline = text_equal_nocase(value, "note");
    if (server->forbid_bare_newline && !server->reject_bare_newline && !text_equal_nocase(value, "normalize") &&
        !text_equal_nocase(value, "yes") && !server->note_bare_newline)
        log_fatal("bad or missing value: smtpd_forbid_bare_newline = %s", value);
}

void smtp_server_configure(struct smtp_server *server, const struct config *config, struct arena *arena)
{
    server->my_hostname = config_string(config, "myhostname");
    server->mail_name = config_string(config, "mail_name");
    server->banner = config_string(config, "smtpd_banner");
    read_limits(server, config);
    read_bare_newline(server, config);
    server->discard_ehlo = smtp_ehlo_mask(config_string(config, "smtpd_discard_ehlo_keywords"),
                                          "smtpd_discard_ehlo_keywords");
    server->discard_ehlo_maps = config_string(config, "smtpd_discard_ehlo_keyword_address_maps");
    server->helo_required = config_bool(config, "smtpd_helo_required");
    server->strict_addresses = config_bool(config, "strict_rfc821_envelopes");
    server->disable_vrfy = config_bool(config, "disable_vrfy_command");
    server->delay_reject = config_bool(config, "smtpd_delay_reject");
    server->forbid_pipelining = config_bool(config, "smtpd_forbid_unauth_pipelining");
    server->use_utf8 = config_bool(config, "smtputf8_enable");
    server->complete_headers = config_bool(config, "always_add_missing_headers");
    server->allow_minus = config_bool(config, "allow_min_user");
    server->replace_stray_cr = config_bool(config, "cleanup_replace_stray_cr_lf");
    read_auth(server, config);
    server->log_client_port = config_bool(config, "smtpd_client_port_logging");
    server->detects_8bit = config_bool(config, "detect_8bit_encoding_header");
    server->keep_originals = config_bool(config, "enable_original_recipient");
    server->header_size_limit = (size_t)config_int(config, "header_size_limit");
    server->undisclosed_recipients = config_string(config, "undisclosed_recipients_header");
    smtp_server_drop_headers(server, config, arena);
    server->open_late = config_bool(config, "smtpd_delay_open_until_valid_rcpt");
    server->hide_client = config_bool(config, "smtpd_hide_client_session");
    read_reply_rules(server, config);
    read_commands(server, config, arena);
}
