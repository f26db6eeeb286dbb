/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_order: restrictions that are never reached, are undone by an earlier one, or do not exist. Each list
 * of each smtpd, and each restriction class, is read once from its first word to its last.
 */
#include "commands/posthorn_check.h"

static const struct check_advice unknown_word = {
    "unknown-restriction", CHECK_ERROR,
    "Mail that reaches this word is answered with 451 4.3.5 Server configuration error.",
    "Correct the spelling, or list the name in smtpd_restriction_classes and define it."};
static const struct check_advice missing_argument = {
    "restriction-without-argument", CHECK_ERROR,
    "Mail that reaches this word is answered with 451 4.3.5 Server configuration error.",
    "Write the table, list or service that it asks behind it."};
static const struct check_advice unreachable = {
    "unreachable-restriction", CHECK_WARNING,
    "The word before it decides about every client, so nothing behind it is ever asked.",
    "Move it before the deciding word, or remove it."};
static const struct check_advice login_passed = {
    "login-already-permitted", CHECK_WARNING,
    "permit_sasl_authenticated has let every logged-in client pass before this word, which says something about logged-in "
    "clients only. Users may send under any sender address.",
    "Move it before permit_sasl_authenticated."};
static const struct check_advice login_without_map = {
    "login-map-missing", CHECK_WARNING,
    "Without smtpd_sender_login_maps no address has an owner: the check permits all senders or refuses all of them.",
    "Set smtpd_sender_login_maps to the table of sender addresses and their logins."};
static const struct check_advice repeated = {
    "repeated-restriction", CHECK_NOTE, "What the first one lets pass, the second lets pass too: it costs a look-up and does "
    "nothing.", "Remove one of them."};
static const struct check_advice too_early = {
    "recipient-not-known-yet", CHECK_WARNING,
    "With smtpd_delay_reject = no this list is read before the client names a recipient, so the word has nothing to look at.",
    "Move it to smtpd_recipient_restrictions, or leave smtpd_delay_reject at yes."};
static const struct check_advice helo_not_needed = {
    "helo-not-required", CHECK_NOTE,
    "A client that says neither HELO nor EHLO is not asked what smtpd_helo_restrictions demand.",
    "Set smtpd_helo_required = yes."};

/* What the words so far mean for those that follow. */
struct progress {
    const char *decided_by; /* this word decides about everybody */
    bool own_passed, foreign_refused, login_permitted;
};

static void note_decision(const struct check_word *word, struct progress *progress)
{
    if (word->warn_only)
        return;
    if ((word->traits & TRAIT_OWN_DESTINATION) != 0)
        progress->own_passed = true;
    if ((word->traits & TRAIT_CLOSES_RELAY) != 0 && (word->traits & TRAIT_REFUSE) == 0 &&
        !text_equal_nocase(word->text, "defer_if_permit"))
        progress->foreign_refused = true;
    if ((word->traits & TRAIT_PERMITS_LOGIN) != 0)
        progress->login_permitted = true;
    bool all = (word->traits & (TRAIT_PERMIT | TRAIT_REFUSE)) != 0 || (progress->own_passed && progress->foreign_refused);
    if (all && progress->decided_by == NULL)
        progress->decided_by = word->text;
}

static bool is_repeated(const struct check_words *words, size_t at)
{
    const struct check_word *word = &words->list[at];
    for (size_t i = 0; i < at; i++) {
        const struct check_word *other = &words->list[i];
        bool same_argument = word->argument == NULL ? other->argument == NULL
                                                    : other->argument != NULL && strcmp(word->argument, other->argument) == 0;
        if (strcmp(word->text, other->text) == 0 && same_argument && word->warn_only == other->warn_only)
            return true;
    }
    return false;
}

static void check_spelling(struct check *check, const struct check_view *view, const struct check_words *words, size_t at)
{
    const struct check_word *word = &words->list[at];
    struct config_origin where = check_locate_word(check, view, words, at);
    if (!word->is_known)
        check_report(check, &unknown_word, where, "unknown restriction \"%s\" in %s", word->text, words->parameter);
    else if ((word->traits & TRAIT_ARGUMENT) != 0 && word->argument == NULL)
        check_report(check, &missing_argument, where, "%s in %s lacks its argument", word->text, words->parameter);
}

static void check_login(struct check *check, const struct check_view *view, const struct check_words *words, size_t at,
                        const struct progress *progress)
{
    const struct check_word *word = &words->list[at];
    struct config_origin where = check_locate_word(check, view, words, at);
    if ((word->traits & TRAIT_NEEDS_LOGIN) == 0)
        return;
    if (progress->login_permitted)
        check_report(check, &login_passed, where, "%s in %s stands behind permit_sasl_authenticated", word->text,
                     words->parameter);
    if ((word->traits & TRAIT_ARGUMENT) == 0 && *check_value(view, "smtpd_sender_login_maps") == '\0')
        check_report(check, &login_without_map, where, "%s in %s without smtpd_sender_login_maps", word->text,
                     words->parameter);
}

static void check_list(struct check *check, const struct check_view *view, const char *parameter, bool before_recipient)
{
    struct check_words words = check_read_words(check, view, parameter);
    struct progress progress = {0};
    bool said = false;
    for (size_t i = 0; i < words.count; i++) {
        const struct check_word *word = &words.list[i];
        check_spelling(check, view, &words, i);
        if (progress.decided_by != NULL && !said) {
            check_report(check, &unreachable, check_locate_word(check, view, &words, i),
                         "%s in %s is never reached: %s decides before it", word->text, parameter, progress.decided_by);
            said = true;
        }
        if (progress.decided_by == NULL) {
            check_login(check, view, &words, i, &progress);
            if (word->is_known && !text_equal_nocase(word->text, "sleep") && is_repeated(&words, i))
                check_report(check, &repeated, check_locate_word(check, view, &words, i), "%s stands twice in %s",
                             word->text, parameter);
            if (before_recipient && (word->traits & TRAIT_NEEDS_RECIPIENT) != 0)
                check_report(check, &too_early, check_locate_word(check, view, &words, i),
                             "%s in %s is asked before there is a recipient", word->text, parameter);
        }
        note_decision(word, &progress);
    }
}

static void check_view_order(struct check *check, const struct check_view *view)
{
    bool early = !check_is_yes(view, "smtpd_delay_reject");
    for (size_t i = 0; check_restriction_lists[i] != NULL; i++)
        check_list(check, view, check_restriction_lists[i], early && i < 3);
    char **classes;
    size_t count = config_split_list(check_value(view, "smtpd_restriction_classes"), check->arena, &classes);
    for (size_t i = 0; i < count; i++)
        check_list(check, view, classes[i], false);
    struct check_words helo = check_read_words(check, view, "smtpd_helo_restrictions");
    for (size_t i = 0; i < helo.count; i++)
        if (slice_starts_with_nocase(slice_of(helo.list[i].text), SLICE("reject_")) &&
            !check_is_yes(view, "smtpd_helo_required"))
            check_report(check, &helo_not_needed, check_locate(check, view, "smtpd_helo_restrictions", NULL, 0),
                         "smtpd_helo_restrictions can be avoided by saying no HELO");
}

void check_restriction_order(struct check *check)
{
    for (size_t i = 0; i < check->view_count; i++)
        if (check_is_smtpd(&check->views[i]))
            check_view_order(check, &check->views[i]);
}
