/* SPDX-License-Identifier: ISC */
/* cleanup_settings: what a service's cleanup does, read once; and whose headers are rewritten. */
#include "common/service/cleanup.h"

#include "common/access/restrict.h"
#include "common/base/log.h"
#include "common/config/cleanup_view.h"

struct cleanup_settings cleanup;
static struct arena *arena;

static bool has_word(const struct config *config, const char *parameter, const char *word)
{
    char **items;
    size_t count = config_split_list(config_string(config, parameter), arena, &items);
    for (size_t i = 0; i < count; i++)
        if (text_equal_nocase(items[i], word))
            return true;
    return false;
}

static void read_overrides(const struct config *config)
{
    static const char *const words[] = {"no_unknown_recipient_checks", "no_address_mappings", "no_header_body_checks",
                                        "no_milters"};
    char **items;
    size_t count = config_split_list(config_string(config, "receive_override_options"), arena, &items);
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t j = 0; j < sizeof words / sizeof words[0]; j++)
            known = known || text_equal_nocase(items[i], words[j]);
        if (!known)
            log_fatal("unknown receive_override_options value \"%s\" in \"%s\"", items[i],
                      config_string(config, "receive_override_options"));
    }
    cleanup.skips_checks = has_word(config, "receive_override_options", "no_header_body_checks");
    cleanup.skips_maps = has_word(config, "receive_override_options", "no_address_mappings");
    if (has_word(config, "receive_override_options", "no_unknown_recipient_checks"))
        smtpd.reject_unlisted_recipient = false;
}

static void read_checks(const struct config *config)
{
    static const char *const parameters[CHECK_KINDS] = {"header_checks", "mime_header_checks", "nested_header_checks",
                                                        "body_checks"};
    bool strict = config_bool(config, "strict_8bitmime"), any_header = false;
    for (unsigned i = 0; i < CHECK_KINDS; i++) {
        cleanup.checks[i] = (struct check_group){config_string(config, parameters[i]), parameters[i]};
        if (*cleanup.checks[i].maps == '\0')
            continue;
        cleanup.checks_content = true;
        any_header = any_header || i != CHECK_BODY;
    }
    int64_t limit = config_int(config, "body_checks_size_limit");
    cleanup.body_limit = limit > 0 ? (uint64_t)limit : 0;
    unsigned reports = (strict || config_bool(config, "strict_7bit_headers") ? MIME_ERROR_8BIT_HEADER : 0u) |
                       (strict || config_bool(config, "strict_8bitmime_body") ? MIME_ERROR_8BIT_BODY : 0u) |
                       (config_bool(config, "strict_mime_encoding_domain") ? MIME_ERROR_ENCODING : 0u);
    cleanup.mime = (struct mime_rules){
        .header_limit = (size_t)config_int(config, "header_size_limit"),
        .boundary_limit = (size_t)config_int(config, "mime_boundary_length_limit"),
        .nesting_limit = (unsigned)config_int(config, "mime_nesting_limit"),
        .line_limit = (size_t)config_int(config, "line_length_limit"),
        .is_disabled = config_bool(config, "disable_mime_input_processing"),
    };
    if (!cleanup.mime.is_disabled)
        cleanup.mime.reports = reports | (reports != 0 || any_header ? MIME_ERROR_NESTING : 0u);
    cleanup.checks_content = (cleanup.checks_content || cleanup.mime.reports != 0) && !cleanup.skips_checks;
}

static unsigned roles_of(const struct config *config, const char *value, const char *classes)
{
    static const struct { const char *word; enum address_role role; } words[] = {
        {"envelope_sender", ROLE_ENVELOPE_SENDER}, {"header_sender", ROLE_HEADER_SENDER},
        {"header_recipient", ROLE_HEADER_RECIPIENT}};
    unsigned roles = 0;
    for (size_t i = 0; *config_string(config, value) != '\0' && i < sizeof words / sizeof words[0]; i++)
        if (has_word(config, classes, words[i].word))
            roles |= words[i].role;
    return roles;
}

static void read_rewriting(const struct config *config)
{
    cleanup.local = (struct rewrite_rules){
        .origin = config_string(config, "myorigin"), .domain = config_string(config, "mydomain"),
        .swap_bangpath = config_bool(config, "swap_bangpath"), .percent_hack = config_bool(config, "allow_percent_hack"),
        .append_at_origin = config_bool(config, "append_at_myorigin"),
        .append_dot_domain = config_bool(config, "append_dot_mydomain")};
    cleanup.remote = cleanup.local;
    cleanup.rewrites_remote = *config_string(config, "remote_header_rewrite_domain") != '\0';
    cleanup.token_limit = (size_t)config_int(config, "header_address_token_limit");
    if (cleanup.skips_maps)
        return;
    cleanup.mapped_roles = roles_of(config, "canonical_maps", "canonical_classes") |
                           roles_of(config, "sender_canonical_maps", "sender_canonical_classes") |
                           roles_of(config, "recipient_canonical_maps", "recipient_canonical_classes") |
                           roles_of(config, "masquerade_domains", "masquerade_classes");
    cleanup.copies_senders = *config_string(config, "sender_bcc_maps") != '\0';
    cleanup.copies_always = *config_string(config, "always_bcc") != '\0';
    if (*config_string(config, "recipient_bcc_maps") != '\0')
        smtpd.address_flags |= ADDRESS_COPIES;
}

/* What the SMTP library does itself, as the cleanup service wants it. */
static void read_header_settings(const struct config *config)
{
    struct smtp_server *server = &smtpd.server;
    server->complete_headers = config_bool(config, "always_add_missing_headers");
    server->detects_8bit = config_bool(config, "detect_8bit_encoding_header");
    server->keep_originals = config_bool(config, "enable_original_recipient");
    server->header_size_limit = cleanup.mime.header_limit;
    server->undisclosed_recipients = config_string(config, "undisclosed_recipients_header");
    server->hopcount_limit = config_int(config, "hopcount_limit");
    smtp_server_drop_headers(server, config, arena);
    if (*server->undisclosed_recipients != '\0' && strchr(server->undisclosed_recipients, ':') == NULL) {
        log_warning("bad undisclosed_recipients_header header text \"%s\" -- need \"headername: headervalue\"",
                    server->undisclosed_recipients);
        server->undisclosed_recipients = "";
    }
}

void cleanup_configure(const struct config *config)
{
    static const struct config *view; /* lives as long as the process: its texts are borrowed */
    arena = arena_new();
    view = cleanup_view_take(config);
    cleanup.profile = cleanup_view_profile(config);
    smtpd.address_profile = cleanup.profile;
    read_overrides(config);
    if (cleanup.skips_maps)
        smtpd.address_flags |= ADDRESS_NO_MAPS;
    read_checks(view);
    read_rewriting(view);
    /* The domain is trivial-rewrite's, whether it is used is cleanup's. */
    cleanup.remote.origin = cleanup.remote.domain = config_string(config, "remote_header_rewrite_domain");
    read_header_settings(view);
    cleanup.content_filter = config_string(config, "content_filter");
    cleanup.local_clients.name = "local_header_rewrite_clients";
    cleanup.local_clients.count =
        config_split_list(config_string(config, "local_header_rewrite_clients"), arena, &cleanup.local_clients.words);
}

/* --- whose headers ---------------------------------------------------------------------------- */

static bool is_in_table(struct smtp_session *session, const char *table)
{
    struct table_answer answer;
    return lookup_find(table, KEY_EXACT, "local_header_rewrite_clients", session->client_address, session->scratch, &answer) &&
           answer.status == TABLE_FOUND;
}

/* A permit_... word, as in any restriction list. */
static bool permits(struct smtp_session *session, const char *word)
{
    const struct restriction *restriction = restrict_find(word);
    struct evaluation evaluation = {.session = session, .where = session->where, .sender = session->sender};
    static bool warned;
    if (restriction != NULL)
        return restriction->run(&evaluation, word) == VERDICT_PERMIT;
    if (!warned)
        log_warning("unknown address rewriting restriction: \"%s\"", word);
    warned = true;
    return false;
}

bool cleanup_is_local_client(struct smtp_session *session)
{
    const struct restrict_list *list = &cleanup.local_clients;
    const struct smtpd_client *client = session->owner;
    if (session->forward != NULL && session->forward->has_domain)
        return session->forward->is_local;
    for (size_t i = 0; i < list->count; i++) {
        const char *word = list->words[i];
        bool is_local = false;
        if (text_equal_nocase(word, "permit_inet_interfaces"))
            is_local = client->is_own;
        else if (text_equal_nocase(word, "permit_mynetworks"))
            is_local = client->is_mynetworks;
        else if (text_equal_nocase(word, "check_address_map"))
            is_local = i + 1 < list->count && is_in_table(session, list->words[++i]);
        else if (strchr(word, ':') != NULL)
            is_local = is_in_table(session, word);
        else
            is_local = permits(session, word);
        if (is_local)
            return true;
    }
    return false;
}

bool cleanup_completes_headers(struct smtp_session *session)
{
    return cleanup.rewrites_remote || cleanup_is_local_client(session);
}
