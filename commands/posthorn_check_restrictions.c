/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_restrictions: reads restriction lists into words with what an adviser must know about each: whether
 * it always decides, protects the relay, believes strangers. All names that Postfix documents. Pure.
 */
#include "commands/posthorn_check.h"

const char *const check_restriction_lists[] = {
    "smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions",
    "smtpd_relay_restrictions", "smtpd_recipient_restrictions", "smtpd_data_restrictions",
    "smtpd_end_of_data_restrictions", "smtpd_etrn_restrictions", NULL,
};

/* What a name, or all names that begin with it (a final '*'), mean. The first match counts. */
static const struct {
    const char *name;
    unsigned traits;
} table[] = {
    {"permit", TRAIT_PERMIT},
    {"reject", TRAIT_REFUSE | TRAIT_CLOSES_RELAY},
    {"defer", TRAIT_REFUSE | TRAIT_CLOSES_RELAY},
    {"defer_if_permit", TRAIT_CLOSES_RELAY},
    {"defer_if_reject", 0},
    {"warn_if_reject", TRAIT_PREFIX},
    {"sleep", TRAIT_ARGUMENT},
    {"reject_unauth_destination", TRAIT_CLOSES_RELAY},
    {"defer_unauth_destination", TRAIT_CLOSES_RELAY},
    {"check_relay_domains", TRAIT_CLOSES_RELAY},
    {"permit_auth_destination", TRAIT_OWN_DESTINATION},
    {"permit_mynetworks", 0},
    {"permit_inet_interfaces", 0},
    {"permit_sasl_authenticated", TRAIT_PERMITS_LOGIN},
    {"permit_tls_clientcerts", 0},
    {"permit_tls_all_clientcerts", TRAIT_FORGEABLE},
    {"permit_naked_ip_address", TRAIT_FORGEABLE},
    {"permit_mx_backup", TRAIT_FORGEABLE},
    {"reject_sender_login_mismatch", TRAIT_NEEDS_LOGIN},
    {"reject_authenticated_sender_login_mismatch", TRAIT_NEEDS_LOGIN},
    {"reject_known_sender_login_mismatch", TRAIT_NEEDS_LOGIN},
    {"reject_unauthenticated_sender_login_mismatch", 0},
    {"check_sasl_access", TRAIT_ARGUMENT | TRAIT_NEEDS_LOGIN},
    {"check_policy_service", TRAIT_ARGUMENT},
    {"check_ccert_access", TRAIT_ARGUMENT},
    {"check_client_*", TRAIT_ARGUMENT},
    {"check_reverse_client_hostname_*", TRAIT_ARGUMENT},
    {"check_etrn_access", TRAIT_ARGUMENT},
    {"check_helo_*", TRAIT_ARGUMENT | TRAIT_FORGEABLE},
    {"check_sender_*", TRAIT_ARGUMENT | TRAIT_FORGEABLE},
    {"check_recipient_maps", TRAIT_NEEDS_RECIPIENT},
    {"check_recipient_*", TRAIT_ARGUMENT | TRAIT_FORGEABLE | TRAIT_NEEDS_RECIPIENT},
    {"reject_rbl_client", TRAIT_ARGUMENT | TRAIT_DNS_LIST},
    {"reject_rhsbl_recipient", TRAIT_ARGUMENT | TRAIT_DNS_LIST | TRAIT_NEEDS_RECIPIENT},
    {"reject_rhsbl_client", TRAIT_ARGUMENT | TRAIT_DNS_LIST},
    {"reject_rhsbl_reverse_client", TRAIT_ARGUMENT | TRAIT_DNS_LIST},
    {"reject_rhsbl_helo", TRAIT_ARGUMENT | TRAIT_DNS_LIST},
    {"reject_rhsbl_sender", TRAIT_ARGUMENT | TRAIT_DNS_LIST},
    {"permit_dnswl_client", TRAIT_ARGUMENT | TRAIT_DNS_LIST},
    {"permit_rhswl_client", TRAIT_ARGUMENT | TRAIT_DNS_LIST},
    {"reject_maps_rbl", 0},
    {"reject_plaintext_session", 0},
    {"reject_unauth_pipelining", 0},
    {"reject_multi_recipient_bounce", 0},
    {"reject_unknown_client_hostname", 0},
    {"reject_unknown_client", 0},
    {"reject_unknown_reverse_client_hostname", 0},
    {"reject_unknown_forward_client_hostname", 0},
    {"reject_invalid_helo_hostname", 0},
    {"reject_invalid_hostname", 0},
    {"reject_non_fqdn_helo_hostname", 0},
    {"reject_non_fqdn_hostname", 0},
    {"reject_unknown_helo_hostname", 0},
    {"reject_unknown_hostname", 0},
    {"reject_non_fqdn_sender", 0},
    {"reject_unknown_sender_domain", 0},
    {"reject_unknown_address", 0},
    {"reject_unlisted_sender", 0},
    {"reject_unverified_sender", 0},
    {"reject_non_fqdn_recipient", TRAIT_NEEDS_RECIPIENT},
    {"reject_unknown_recipient_domain", TRAIT_NEEDS_RECIPIENT},
    {"reject_unlisted_recipient", TRAIT_NEEDS_RECIPIENT},
    {"reject_unverified_recipient", TRAIT_NEEDS_RECIPIENT},
};

static bool name_matches(const char *name, struct slice word)
{
    size_t len = strlen(name);
    if (len > 0 && name[len - 1] == '*')
        return slice_starts_with_nocase(word, slice_range(name, len - 1));
    return slice_equal_nocase(word, slice_of(name));
}

static void classify(struct check *check, const struct check_view *view, struct check_word *word)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (name_matches(table[i].name, slice_of(word->text))) {
            word->traits = table[i].traits;
            word->is_known = true;
            return;
        }
    word->is_class = check_is_class(check, view, word->text);
    word->is_table = !word->is_class && strchr(word->text, ':') != NULL;
    word->is_known = word->is_class || word->is_table;
}

bool check_is_class(struct check *check, const struct check_view *view, const char *name)
{
    char **items;
    size_t count = config_split_list(check_value(view, "smtpd_restriction_classes"), check->arena, &items);
    for (size_t i = 0; i < count; i++)
        if (text_equal_nocase(items[i], name))
            return true;
    return false;
}

static size_t count_equal(const struct check_words *words, const char *text)
{
    size_t count = 0;
    for (size_t i = 0; i < words->count; i++)
        count += strcmp(words->list[i].text, text) == 0;
    return count;
}

struct check_words check_read_words(struct check *check, const struct check_view *view, const char *parameter)
{
    struct check_words words = {.parameter = parameter};
    char **items;
    size_t count = config_split_list(check_value(view, parameter), check->arena, &items);
    words.list = arena_alloc_array(check->arena, count + 1, sizeof *words.list);
    bool warn_only = false;
    for (size_t i = 0; i < count; i++) {
        struct check_word word = {.text = items[i], .warn_only = warn_only};
        classify(check, view, &word);
        word.nth = count_equal(&words, word.text);
        if ((word.traits & TRAIT_ARGUMENT) != 0 && i + 1 < count)
            word.argument = items[++i];
        warn_only = (word.traits & TRAIT_PREFIX) != 0;
        if (!warn_only)
            words.list[words.count++] = word;
    }
    return words;
}

struct config_origin check_locate_word(struct check *check, const struct check_view *view,
                                       const struct check_words *words, size_t at)
{
    return check_locate(check, view, words->parameter, words->list[at].text, words->list[at].nth);
}
