/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_relay: what becomes of a stranger (no trusted address, no login) who wants to send to somebody
 * elsewhere. Walks the lists of every smtpd as such a client would; a list is closed when a word in it refuses.
 * Tables are unknown to it: they may say OK, and matter when what they are asked about can be forged.
 */
#include "commands/posthorn_check.h"

#define CLASS_DEPTH 20

static const struct check_advice open_relay = {
    "open-relay", CHECK_ERROR,
    "Anybody may send mail to anybody through this server. Spammers find such a server within hours, and then its mail is "
    "refused everywhere.",
    "Set smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination."};
static const struct check_advice no_relay_control = {
    "no-relay-control", CHECK_ERROR,
    "smtpd refuses to start without a word that protects the relay in smtpd_relay_restrictions or "
    "smtpd_recipient_restrictions.",
    "Set smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination; with "
    "compatibility_level = 3.6 a safe value is the default."};
static const struct check_advice forgeable_relay = {
    "forgeable-relay", CHECK_WARNING,
    "It stands before the word that protects the relay and is decided by what the client claims. Whoever claims the right "
    "name or address may relay to anybody.",
    "Set smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination, or put this "
    "word behind reject_unauth_destination."};
static const struct check_advice warn_only_relay = {
    "relay-control-warns-only", CHECK_WARNING,
    "With warn_if_reject in front, the word that should protect the relay writes a log line and lets the mail pass.",
    "Remove warn_if_reject before it."};

/* What one list does with a stranger's mail to somewhere else. */
struct passage {
    bool closed;      /* refused in this list, at the latest by its last word */
    bool permitted;   /* let pass by a word that always permits */
    bool has_control; /* some word protects the relay, reached or not: then smtpd starts */
    bool warns_only;
    struct config_origin permit_at;
    const struct check_word *forgeable; /* the first that may permit before the list closes */
    struct config_origin forgeable_at;
};

static void walk(struct check *check, const struct check_view *view, const char *parameter, unsigned depth,
                 struct passage *passage);

static void walk_word(struct check *check, const struct check_view *view, const struct check_words *words, size_t at,
                      unsigned depth, struct passage *passage)
{
    const struct check_word *word = &words->list[at];
    bool decided = passage->closed || passage->permitted;
    if (word->is_class && depth < CLASS_DEPTH)
        walk(check, view, word->text, depth + 1, passage);
    if ((word->traits & TRAIT_CLOSES_RELAY) != 0) {
        passage->has_control = true;
        if (word->warn_only && !decided) {
            passage->warns_only = true;
            check_report(check, &warn_only_relay, check_locate_word(check, view, words, at),
                         "warn_if_reject takes the effect of %s in %s away", word->text, words->parameter);
        } else if (!decided) {
            passage->closed = true;
        }
    } else if ((word->traits & TRAIT_PERMIT) != 0 && !decided) {
        passage->permitted = true;
        passage->permit_at = check_locate_word(check, view, words, at);
    } else if ((word->traits & TRAIT_FORGEABLE) != 0 && !decided && passage->forgeable == NULL) {
        passage->forgeable = word;
        passage->forgeable_at = check_locate_word(check, view, words, at);
    }
}

static void walk(struct check *check, const struct check_view *view, const char *parameter, unsigned depth,
                 struct passage *passage)
{
    struct check_words words = check_read_words(check, view, parameter);
    for (size_t i = 0; i < words.count; i++)
        walk_word(check, view, &words, i, depth, passage);
}

/* Refused whatever the recipient: "permit_sasl_authenticated, reject" for clients, as on a submission port. */
static bool refuses_strangers(struct check *check, const struct check_view *view)
{
    static const char *const earlier[] = {"smtpd_client_restrictions", "smtpd_helo_restrictions",
                                          "smtpd_sender_restrictions"};
    for (size_t i = 0; i < sizeof earlier / sizeof earlier[0]; i++) {
        struct passage passage = {0};
        walk(check, view, earlier[i], 0, &passage);
        if (passage.closed && passage.forgeable == NULL)
            return true;
    }
    return false;
}

static void judge(struct check *check, const struct check_view *view, const struct passage *relay,
                  const struct passage *recipient)
{
    const char *service = check_view_name(check, view);
    struct config_origin unset = check_locate(check, view, "smtpd_relay_restrictions", NULL, 0);
    if (unset.file == NULL)
        unset = view->service->where;
    if (!relay->has_control && !recipient->has_control) {
        check_report(check, &no_relay_control, unset, "%s: neither smtpd_relay_restrictions nor smtpd_recipient_restrictions protects the relay", service);
    } else if (check_is_loopback_service(view)) {
        return; /* strangers cannot connect */
    } else if (!relay->closed && !recipient->closed && !refuses_strangers(check, view)) {
        struct config_origin where = relay->permitted ? relay->permit_at : recipient->permit_at;
        if (!relay->permitted && !recipient->permitted)
            where = unset;
        check_report(check, &open_relay, where, "%s is an open relay: no restriction that a stranger meets refuses "
                     "mail for foreign destinations", service);
    } else if ((!relay->closed || relay->forgeable != NULL) && (!recipient->closed || recipient->forgeable != NULL) &&
               !refuses_strangers(check, view)) {
        const struct passage *by = relay->closed ? relay : recipient;
        check_report(check, &forgeable_relay, by->forgeable_at, "%s%s%s may permit relaying before any restriction refuses "
                     "it", by->forgeable->text, by->forgeable->argument != NULL ? " " : "",
                     by->forgeable->argument != NULL ? by->forgeable->argument : "");
    }
}

void check_open_relay(struct check *check)
{
    for (size_t i = 0; i < check->view_count; i++) {
        const struct check_view *view = &check->views[i];
        struct passage relay = {0}, recipient = {0};
        if (!check_is_smtpd(view))
            continue;
        walk(check, view, "smtpd_relay_restrictions", 0, &relay);
        walk(check, view, "smtpd_recipient_restrictions", 0, &recipient);
        judge(check, view, &relay, &recipient);
    }
}
