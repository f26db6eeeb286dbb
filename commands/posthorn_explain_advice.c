/* SPDX-License-Identifier: ISC */
/*
 * posthorn_explain_advice: what to change when the answer is not the one that was wanted: one sentence for each kind of
 * restriction that can decide, with the table's entry or the service for logins where there is one. Pure.
 */
#include "commands/posthorn_explain.h"

/* The last question of this kind that was answered before the decision. */
static const struct trace_event *last_input(const struct explain *explain, const char *whom)
{
    const struct trace_event *found = NULL;
    for (const struct trace_event *event = explain->decider + 1; event < explain->events + explain->count; event++) {
        if (event->kind == TRACE_VERDICT && event->depth <= explain->decider->depth)
            break;
        if (event->kind == TRACE_INPUT && strcmp(event->name, whom) == 0 && strcmp(event->result, "not found") != 0)
            found = event;
    }
    return found;
}

static const char *about_table(struct explain *explain)
{
    const struct trace_event *entry = last_input(explain, "table");
    const char *key = entry != NULL ? strstr(entry->text, " \"") : NULL;
    if (key == NULL)
        return "change the table, or put a restriction that permits this client before it";
    return arena_printf(explain->check.arena, "change what the table says of%s (\"%s\"), or give a restriction that permits this client before it",
                        key, entry->result);
}

/* The service where people log in, for those who asked at another one. */
static const char *login_service(const struct explain *explain)
{
    for (size_t i = 1; i < explain->check.view_count; i++)
        if (check_is_smtpd(&explain->check.views[i]) && check_is_yes(&explain->check.views[i], "smtpd_sasl_auth_enable"))
            return explain->check.views[i].service->name;
    return NULL;
}

static const char *about_relaying(struct explain *explain)
{
    const char *service = login_service(explain);
    struct arena *arena = explain->check.arena;
    bool is_logged_in = *explain->request.login != '\0', has_login = check_is_yes(explain->view, "smtpd_sasl_auth_enable");
    if (is_logged_in)
        return "the client is logged in: put permit_sasl_authenticated before this restriction";
    const char *how = has_login ? "people must log in (try --sasl LOGIN)" : service != NULL ?
        arena_printf(arena, "people must log in at service %s (try --port %s --sasl LOGIN)", service, service) :
        "people need a service with smtpd_sasl_auth_enable = yes to log in";
    return arena_printf(arena, "to send mail out, %s or be in mynetworks with permit_mynetworks before this restriction; to take mail for this "
                        "domain, name it in virtual_mailbox_domains, virtual_alias_domains, mydestination or relay_domains", how);
}

static const char *about_everybody(struct explain *explain)
{
    if (*explain->request.login != '\0')
        return "everybody who gets here is refused: put permit_sasl_authenticated before it";
    return "everybody who gets here is refused: people who log in need permit_sasl_authenticated before it, this host's networks permit_mynetworks";
}

static const char *about_user(struct explain *explain)
{
    static const struct { const char *table, *parameter; } tables[] = {
        {"virtual mailbox table", "virtual_mailbox_maps"}, {"virtual alias table", "virtual_alias_maps"},
        {"local recipient table", "local_recipient_maps"}, {"relay recipient table", "relay_recipient_maps"}};
    for (size_t i = 0; i < explain->count; i++)
        for (size_t j = 0; j < sizeof tables / sizeof tables[0]; j++)
            if (explain->events[i].kind == TRACE_INPUT && strcmp(explain->events[i].name, "address") == 0 &&
                strstr(explain->events[i].result, tables[j].table) != NULL)
                return arena_printf(explain->check.arena, "add the user to %s (or an alias to virtual_alias_maps)", tables[j].parameter);
    return "add the user to the recipient table of its domain, or an alias to virtual_alias_maps";
}

static const char *about_dns_list(struct explain *explain)
{
    return arena_printf(explain->check.arena, "the list's operator can take %s off it; to let it in all the same, put check_client_access with "
                        "an OK for it before this restriction", explain->request.address);
}

static const char *about_names(struct explain *explain UNUSED)
{
    return "the other side must mend its DNS, or the name that it sends; clients of yours need permit_sasl_authenticated or permit_mynetworks "
           "before this restriction";
}

static const char *about_owner(struct explain *explain)
{
    return *explain->request.login != '\0' ? "let smtpd_sender_login_maps name this login for the sender address" :
           "the sender address belongs to somebody: log in, at a service for logins";
}

static const char *about_policy(struct explain *explain UNUSED)
{
    return "the policy service says so (greylisting lets the client through when it comes again); see its own log and lists";
}

static const char *about_verification(struct explain *explain UNUSED)
{
    return "the address was not found to take mail: address_verify_poll_count and _delay say how long a client waits for a probe";
}

static const struct {
    const char *begin; /* of the restriction's name */
    const char *(*advise)(struct explain *explain);
} kinds[] = {
    {"check_policy_service", about_policy}, {"check_", about_table}, {"reject_unauth_destination", about_relaying},
    {"defer_unauth_destination", about_relaying}, {"reject_unlisted", about_user}, {"reject_unverified", about_verification},
    {"reject_rbl", about_dns_list}, {"reject_rhsbl", about_dns_list}, {"reject_maps_rbl", about_dns_list},
    {"reject_sender_login", about_owner}, {"reject_authenticated_sender", about_owner}, {"reject_unauthenticated_sender", about_owner},
    {"reject_known_sender", about_owner}, {"reject_unknown", about_names}, {"reject_non_fqdn", about_names}, {"reject_invalid", about_names},
};

static const char *about_protocol(struct explain *explain)
{
    if (strstr(explain->reply, "STARTTLS") != NULL)
        return "the client must encrypt before it goes on (STARTTLS; try --tls), or the service must not demand it (smtpd_tls_security_level)";
    return "";
}

const char *explain_advice(struct explain *explain)
{
    if (explain->outcome == OUTCOME_ACCEPT)
        return "";
    if (explain->decider == NULL)
        return about_protocol(explain);
    if (strstr(explain->reply, " 4.3.5 ") != NULL)
        return "this is a mistake in the configuration: the log lines above name it, and posthorn check knows more";
    const struct slice word = slice_of(explain->decider->text);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (slice_starts_with_nocase(word, slice_of(kinds[i].begin)))
            return kinds[i].advise(explain);
    bool is_final = text_equal_nocase(explain->decider->text, "reject") || text_equal_nocase(explain->decider->text, "defer");
    return is_final ? about_everybody(explain) : "";
}
