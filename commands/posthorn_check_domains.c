/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_domains: domains that are listed in two classes, and limits that exclude each other. Sees domains that
 * are written in main.cf or in a file that it names; those in tables are known to lookup only.
 */
#include <stdlib.h>

#include "commands/posthorn_check.h"

static const struct check_advice two_classes = {
    "domain-in-two-classes", CHECK_ERROR,
    "A domain has one class, and mydestination comes first: the other one's tables are never asked about its recipients, who "
    "are unknown or delivered to the wrong place.",
    "Take the domain out of one of the two."};
static const struct check_advice mailbox_too_small = {
    "mailbox-limit-too-small", CHECK_ERROR,
    "The delivery agent refuses to work when a mailbox may not hold one message of the size that smtpd accepts.",
    "Raise it, set it to 0 for no limit, or lower message_size_limit."};
static const struct check_advice soft_bounce_on = {
    "soft-bounce", CHECK_NOTE, "All refusals are temporary: clients try again for days, and mistakes stay hidden.",
    "Set soft_bounce = no when the test is over."};
static const struct check_advice odd_hostname = {
    "hostname-not-full", CHECK_WARNING,
    "Other servers compare the name in HELO with the DNS and refuse what is no full name.",
    "Set myhostname to this host's full name in the DNS, such as mail.example.com."};

static const char *const classes[] = {"mydestination", "virtual_alias_domains", "virtual_mailbox_domains", "relay_domains"};

#define CLASS_COUNT (sizeof classes / sizeof classes[0])

struct domain_list {
    char **items;
    size_t count;
};

static struct domain_list read_domains(struct check *check, const char *name)
{
    struct domain_list list = {0};
    struct config_problems problems = {0};
    /* virtual_alias_domains is $virtual_alias_maps by default, relay_domains may be $mydestination: both meant so. */
    if ((strcmp(name, "mydestination") == 0 || config_is_set(check->config, name)) &&
        config_string_if_valid(check->config, name) != NULL)
        list.count = config_read_list(check->config, name, check->arena, &list.items, &problems);
    config_problems_free(&problems); /* check_tables reports files that cannot be read */
    return list;
}

static bool is_plain_domain(const char *text)
{
    return text[0] != '!' && text[0] != '/' && strchr(text, ':') == NULL;
}

static bool list_has(const struct domain_list *list, const char *domain)
{
    for (size_t i = 0; i < list->count; i++)
        if (text_equal_nocase(list->items[i], domain))
            return true;
    return false;
}

static void check_classes(struct check *check)
{
    struct domain_list lists[CLASS_COUNT];
    for (size_t i = 0; i < CLASS_COUNT; i++)
        lists[i] = read_domains(check, classes[i]);
    for (size_t later = 1; later < CLASS_COUNT; later++)
        for (size_t k = 0; k < lists[later].count; k++) {
            const char *domain = lists[later].items[k];
            for (size_t first = 0; first < later && is_plain_domain(domain); first++)
                /* relay_domains = $mydestination was Postfix's default for years and does no harm. */
                if (list_has(&lists[first], domain) && !(later == 3 && first == 0))
                    check_report(check, &two_classes,
                                 check_locate(check, &check->views[0], classes[later], domain, 0),
                                 "%s is listed in %s and in %s", domain, classes[first], classes[later]);
        }
}

static void check_limit(struct check *check, const char *name, const char *program)
{
    const struct check_view *view = &check->views[0];
    long long message = atoll(check_value(view, "message_size_limit")), mailbox = atoll(check_value(view, name));
    bool used = false;
    for (size_t i = 1; i < check->view_count; i++)
        used |= strcmp(check->views[i].service->command, program) == 0;
    if (used && mailbox > 0 && (message == 0 || message > mailbox))
        check_report(check, &mailbox_too_small,
                     check_locate(check, view, config_is_set(check->config, name) ? name : "message_size_limit", NULL, 0),
                     "%s (%lld) is smaller than message_size_limit (%lld)", name, mailbox, message);
}

static bool has_listener(const struct check *check)
{
    for (size_t i = 1; i < check->view_count; i++)
        if (check_is_smtpd(&check->views[i]) && !check_is_loopback_service(&check->views[i]))
            return true;
    return false;
}

void check_domains(struct check *check)
{
    const struct check_view *view = &check->views[0];
    const char *hostname = check_value(view, "myhostname");
    check_classes(check);
    check_limit(check, "mailbox_size_limit", "local");
    check_limit(check, "virtual_mailbox_limit", "virtual");
    if (check_is_yes(view, "soft_bounce"))
        check_report(check, &soft_bounce_on, check_locate(check, view, "soft_bounce", NULL, 0), "soft_bounce is on");
    if (has_listener(check) && (strchr(hostname, '.') == NULL || check_has_suffix(hostname, ".localdomain")))
        check_report(check, &odd_hostname, check_locate(check, view, "myhostname", NULL, 0),
                     "myhostname is \"%s\", which is no full name", hostname);
}
