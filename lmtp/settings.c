/* SPDX-License-Identifier: ISC */
/* lmtp settings: reads the lmtp_ parameters. Called once at start; a bad value is fatal, as in Postfix. */
#include "common/base/log.h"
#include "lmtp/lmtp.h"

struct lmtp_settings lmtp_settings;

static unsigned settings_ignored_keywords(const struct config *config)
{
    bool silent;
    struct slice unknown;
    const char *words = config_string(config, "lmtp_discard_lhlo_keywords");
    unsigned flags = smtp_capabilities_from_words(words, &silent, &unknown);
    if (unknown.len > 0)
        log_warning("lmtp_discard_lhlo_keywords: unknown keyword \"%.*s\"", SLICE_ARGS(unknown));
    if (flags != 0 && !silent)
        log_info("discarding LHLO keywords: %s", words);
    return flags;
}

static bool settings_probe_target(const struct config *config)
{
    const char *target = config_string(config, "lmtp_address_verify_target");
    if (text_equal_nocase(target, "data"))
        return true;
    if (!text_equal_nocase(target, "rcpt"))
        log_fatal("bad configuration: lmtp_address_verify_target = %s", target);
    return false;
}

void lmtp_settings_load(const struct config *config)
{
    lmtp_settings = (struct lmtp_settings){
        .client = {
            .lmtp = true,
            .hello_name = config_string(config, "lmtp_lhlo_name"),
            .hello_timeout = config_seconds(config, "lmtp_lhlo_timeout"),
            .mail_timeout = config_seconds(config, "lmtp_mail_timeout"),
            .rcpt_timeout = config_seconds(config, "lmtp_rcpt_timeout"),
            .rset_timeout = config_seconds(config, "lmtp_rset_timeout"),
            .quit_timeout = config_seconds(config, "lmtp_quit_timeout"),
            .data_init_timeout = config_seconds(config, "lmtp_data_init_timeout"),
            .data_xfer_timeout = config_seconds(config, "lmtp_data_xfer_timeout"),
            .data_done_timeout = config_seconds(config, "lmtp_data_done_timeout"),
            .line_limit = (size_t)config_int(config, "lmtp_line_length_limit"),
            .ignored = settings_ignored_keywords(config),
            .skip_5xx_greeting = config_bool(config, "lmtp_skip_5xx_greeting"),
            .skip_quit_response = config_bool(config, "lmtp_skip_quit_response"),
            .probes_data = settings_probe_target(config),
            .quote_envelope = config_bool(config, "lmtp_quote_rfc821_envelope"),
        },
        .my_host_name = config_string(config, "myhostname"),
        .default_port = config_string(config, "lmtp_tcp_port"),
        .connect_timeout = config_seconds(config, "lmtp_connect_timeout"),
        .keeps_connections = config_bool(config, "lmtp_connection_cache_on_demand"),
        .cache_time_limit = config_seconds(config, "lmtp_connection_cache_time_limit"),
        .reuse_time_limit = config_seconds(config, "lmtp_connection_reuse_time_limit"),
        .reuse_count_limit = (unsigned)config_int(config, "lmtp_connection_reuse_count_limit"),
    };
}
