/* SPDX-License-Identifier: ISC */
/* settings: the parameters that the queue goes by, read once per configuration. */
#include "queue/queue.h"

struct queue_settings settings;

static bool class_listed(const struct config *config, const char *class)
{
    struct slice rest = slice_of(config_string(config, "notify_classes")), word;
    while (slice_next_token(&rest, ", \t\r\n", &word))
        if (slice_equal_nocase(word, slice_of(class)))
            return true;
    return false;
}

void settings_load(const struct config *config)
{
    settings = (struct queue_settings){
        .minimal_backoff = config_seconds(config, "minimal_backoff_time"),
        .maximal_backoff = config_seconds(config, "maximal_backoff_time"),
        .maximal_lifetime = config_seconds(config, "maximal_queue_lifetime"),
        .bounce_lifetime = config_seconds(config, "bounce_queue_lifetime"),
        .delay_warning = config_seconds(config, "delay_warning_time"),
        .minfree = config_int(config, "queue_minfree"),
        .active_limit = (size_t)config_int(config, "qmgr_message_active_limit"),
        .bounce_size_limit = (size_t)config_int(config, "bounce_size_limit"),
        .delay_resolution = (unsigned)config_int(config, "delay_logging_resolution_limit"),
        .long_ids = config_bool(config, "enable_long_queue_ids"),
        .soft_bounce = config_bool(config, "soft_bounce"),
        .host_name = config_string(config, "myhostname"),
        .mail_name = config_string(config, "mail_name"),
        .double_bounce_sender = config_string(config, "double_bounce_sender"),
        .two_bounce_recipient = config_string(config, "2bounce_notice_recipient"),
        .bounce_recipient = config_string(config, "bounce_notice_recipient"),
        .filter_next_hop = config_string(config, "default_filter_nexthop"),
        .delay_recipient = config_string(config, "delay_notice_recipient"),
        .error_recipient = config_string(config, "error_notice_recipient"),
        .notify_bounce = class_listed(config, "bounce"),
        .notify_two_bounce = class_listed(config, "2bounce"),
        .notify_delay = class_listed(config, "delay"),
        .origin = config_string(config, "myorigin"),
        .use_utf8 = config_bool(config, "smtputf8_enable"),
        .threaded_bounces = config_bool(config, "enable_threaded_bounces"),
        .verify_positive_expire = config_seconds(config, "address_verify_positive_expire_time"),
        .verify_negative_expire = config_seconds(config, "address_verify_negative_expire_time"),
        .verify_negative_cache = config_bool(config, "address_verify_negative_cache"),
        .verify_pending_limit = (size_t)config_int(config, "address_verify_pending_request_limit"),
        .config = config,
    };
    bounce_texts_load();
}
