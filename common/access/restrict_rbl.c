/* SPDX-License-Identifier: ISC */
/*
 * restrict_rbl: DNS lists of client addresses and domains, for refusing and for letting through. A list that fails
 * refuses nobody; one that answers 127.255.255.x refuses to serve our name server, which lists nobody either.
 */
#include "common/base/log.h"
#include "common/config/evaluate.h"
#include "common/dns/dns_reverse.h"
#include "common/mail/address_parse.h"
#include "common/mail/hostname.h"
#include "common/access/dnsxl.h"
#include "common/access/restrict.h"
#include "common/smtp/server/reply_filter.h"

#define REASON_LIMIT 2048 /* bytes: Postfix's line_length_limit */

enum listing { NOT_LISTED, LISTED, UNCERTAIN };

/* What a reply template may name. */
struct rbl_reply {
    struct evaluation *evaluation;
    const char *domain, *reason, *what, *class;
};

static const struct smtpd_client *client_of(const struct evaluation *evaluation)
{
    return evaluation->session->owner;
}

/* --- asking ------------------------------------------------------------------------------- */

static enum listing find(struct evaluation *evaluation, const char *query, const struct dnsxl_list *list)
{
    struct dns_answer answer;
    resolver_query(query, DNS_A, evaluation->session->scratch, &answer);
    if (answer.status == DNS_TEMPORARY) {
        log_warning("%s: RBL lookup error: Host or domain name not found. Name service error for name=%s type=A: "
                    "Host not found, try again", query, query);
        return UNCERTAIN;
    }
    if (answer.status == DNS_FILTERED) {
        log_warning("%s: RBL lookup error: Error looking up name=%s type=A: DNS reply filter drops all results", query, query);
        return UNCERTAIN;
    }
    enum listing listing = NOT_LISTED;
    for (size_t i = 0; i < answer.count; i++) {
        const char *address = answer.records[i].data;
        if (slice_starts_with_nocase(slice_of(address), SLICE("127.255.255.")))
            log_warning("%s: the list answers %s: it refuses this name server, and lists nobody", query, address);
        else if (dnsxl_filter_matches(list->filter, address))
            listing = LISTED;
    }
    return listing;
}

static const char *find_reason(struct evaluation *evaluation, const char *query)
{
    struct arena *arena = evaluation->session->scratch;
    struct dns_answer answer;
    struct str reason = STR_EMPTY;
    resolver_query(query, DNS_TXT, arena, &answer);
    if (answer.status == DNS_FILTERED)
        log_warning("%s: TXT lookup error: DNS reply filter drops all results", query);
    for (size_t i = 0; i < answer.count && reason.len < REASON_LIMIT; i++)
        str_printf(&reason, "%s%s", i > 0 ? " / " : "", answer.records[i].data);
    if (reason.len > REASON_LIMIT)
        str_truncate(&reason, REASON_LIMIT);
    const char *text = arena_slice(arena, str_slice(&reason));
    str_free(&reason);
    return text;
}

/* --- the reply ------------------------------------------------------------------------------ */

static const char *lookup_macro(void *context, const char *name)
{
    const struct rbl_reply *reply = context;
    struct smtp_session *session = reply->evaluation->session;
    const struct { const char *name; const char *value; } values[] = {
        {"rbl_code", arena_printf(session->scratch, "%lld", (long long)smtpd.rbl_code)}, {"rbl_domain", reply->domain},
        {"rbl_reason", reply->reason}, {"rbl_txt", reply->reason}, {"rbl_what", reply->what}, {"rbl_class", reply->class},
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (strcmp(values[i].name, name) == 0)
            return reply_macro_escape(session, values[i].value);
    return reply_macro_value(session, name, reply->evaluation->recipient);
}

/* The list's own template, or NULL. False: a table failed. */
static bool find_in_maps(struct evaluation *evaluation, const char *key, const char **template)
{
    struct table_answer answer;
    bool answered = lookup_find(smtpd.rbl_reply_maps, KEY_EXACT, "rbl_reply_maps", key, evaluation->session->scratch, &answer);
    if (answered && answer.status == TABLE_ERROR)
        log_warning("%s lookup error for \"%s\"", *answer.table != '\0' ? answer.table : smtpd.rbl_reply_maps, key);
    if (!answered || answer.status == TABLE_ERROR)
        return false;
    *template = answer.status == TABLE_FOUND ? answer.value : NULL;
    return true;
}

/* Asked for the list as the restriction names it, "=filter" and all, then for its domain. */
static bool find_template(struct evaluation *evaluation, const struct dnsxl_list *list, const char *domain, const char **template)
{
    *template = NULL;
    if (*smtpd.rbl_reply_maps != '\0' && list->filter.data != NULL) {
        const char *end = list->filter.data + list->filter.len;
        const char *whole = arena_strndup(evaluation->session->scratch, list->domain.data, (size_t)(end - list->domain.data));
        if (!find_in_maps(evaluation, whole, template))
            return false;
    }
    if (*smtpd.rbl_reply_maps != '\0' && *template == NULL && !find_in_maps(evaluation, domain, template))
        return false;
    if (*template == NULL)
        *template = smtpd.default_rbl_reply;
    return true;
}

/* False: a syntax error, or a name that there is not. */
static bool fill_in(struct rbl_reply *reply, const char *template, struct str *text)
{
    size_t undefined = 0;
    struct evaluate_source source = {lookup_macro, reply, &undefined};
    struct str why = STR_EMPTY;
    str_clear(text);
    bool good = evaluate_text(&source, slice_of(template), text, &why);
    if (!good)
        log_warning("%s", str_text(&why));
    str_free(&why);
    return good && undefined == 0;
}

static bool is_status(struct slice word, char class)
{
    size_t dots = 0;
    for (size_t i = 0; i < word.len; i++) {
        dots += word.data[i] == '.';
        if (word.data[i] != '.' && !text_is_digit(word.data[i]))
            return false;
    }
    return dots == 2 && word.len >= 5 && word.len <= 9 && word.data[0] == class && word.data[1] == '.';
}

/* "554 5.7.1 text": what a template makes must begin with a code, and may go on with an enhanced status. */
static enum verdict refuse_with(struct evaluation *evaluation, struct slice text)
{
    struct arena *arena = evaluation->session->scratch;
    struct slice rest = text, code, status;
    uint64_t number = 0;
    if (!slice_next_token(&rest, " \t", &code) || code.len != 3 || !slice_to_u64(code, &number) || number < 400 || number > 599) {
        log_warning("rbl response code configuration error: %.*s", SLICE_ARGS(text));
        return restrict_reject(evaluation, 450, "4.7.1", "Service unavailable");
    }
    const char *dsn = "4.7.1";
    rest = slice_trim(rest);
    struct slice after = rest;
    if (slice_next_token(&after, " \t", &status) && is_status(status, code.data[0])) {
        dsn = arena_slice(arena, status);
        rest = slice_trim(after);
    }
    if (rest.len == 0)
        rest = SLICE("Service unavailable");
    return restrict_reject(evaluation, (int64_t)number, dsn, "%.*s", SLICE_ARGS(rest));
}

static enum verdict refuse(struct evaluation *evaluation, const char *query, const struct dnsxl_list *list, const char *what,
                           const char *class)
{
    struct arena *arena = evaluation->session->scratch;
    struct rbl_reply reply = {evaluation, arena_slice(arena, list->domain), find_reason(evaluation, query), what, class};
    struct str text = STR_EMPTY;
    const char *template;
    if (!find_template(evaluation, list, reply.domain, &template))
        return restrict_broken(evaluation);
    bool good = fill_in(&reply, template, &text);
    if (!good && template != smtpd.default_rbl_reply) {
        log_warning("rbl_reject_reply: bad rbl reply template for domain %s: %s", reply.domain, template);
        good = fill_in(&reply, smtpd.default_rbl_reply, &text);
    }
    if (!good)
        log_warning("default_rbl_reply: bad default rbl reply template: %s", smtpd.default_rbl_reply);
    struct slice copy = slice_of(arena_slice(arena, str_slice(&text)));
    str_free(&text);
    return good ? refuse_with(evaluation, copy) : restrict_broken(evaluation);
}

/* --- restrictions --------------------------------------------------------------------------------- */

/* The list behind the restriction's name. False: a missing or malformed one; *verdict says what follows. */
static bool take_list(struct evaluation *evaluation, const char *name, struct dnsxl_list *list, enum verdict *verdict)
{
    const char *argument = restrict_argument(evaluation);
    *verdict = VERDICT_DUNNO;
    if (argument == NULL)
        log_warning("restriction %s requires domain name argument", name);
    else if (dnsxl_parse(argument, list))
        return true;
    else {
        log_warning("restriction %s: malformed list \"%s\": need domain or domain=d.d.d.d", name, argument);
        *verdict = restrict_broken(evaluation);
    }
    return false;
}

static const char *address_query(struct evaluation *evaluation, const struct dnsxl_list *list)
{
    struct arena *arena = evaluation->session->scratch;
    const char *reversed = dns_reverse(evaluation->session->client_address, arena);
    return reversed != NULL ? arena_printf(arena, "%s.%.*s", reversed, SLICE_ARGS(list->domain)) : NULL;
}

/* NULL: nothing that a list of domains could hold. */
static const char *domain_query(struct evaluation *evaluation, const struct dnsxl_list *list, const char *what)
{
    struct arena *arena = evaluation->session->scratch;
    const char *at = strrchr(what, '@');
    const char *domain = at != NULL ? at + 1 : what;
    if (!hostname_is_valid(slice_of(domain)))
        return NULL;
    return arena_printf(arena, "%s.%.*s", domain, SLICE_ARGS(list->domain));
}

enum verdict restrict_rbl_client(struct evaluation *evaluation, const char *name)
{
    struct dnsxl_list list;
    enum verdict verdict;
    if (!take_list(evaluation, name, &list, &verdict))
        return verdict;
    const char *query = address_query(evaluation, &list);
    if (query == NULL || find(evaluation, query, &list) != LISTED)
        return VERDICT_DUNNO;
    return refuse(evaluation, query, &list, evaluation->session->client_address, "Client host");
}

/* The form of old: the lists are those of maps_rbl_domains. */
enum verdict restrict_maps_rbl(struct evaluation *evaluation, const char *name UNUSED)
{
    static bool warned;
    enum verdict verdict = VERDICT_DUNNO;
    if (!warned)
        log_warning("support for restriction \"reject_maps_rbl\" will be removed from Postfix; use \"reject_rbl_client "
                    "domain-name\" instead");
    warned = true;
    for (size_t i = 0; i < smtpd.maps_rbl_domain_count && verdict == VERDICT_DUNNO; i++) {
        struct dnsxl_list list = {.domain = slice_of(smtpd.maps_rbl_domains[i])};
        const char *query = address_query(evaluation, &list);
        if (query != NULL && find(evaluation, query, &list) == LISTED)
            verdict = refuse(evaluation, query, &list, evaluation->session->client_address, "Client host");
    }
    return verdict;
}

static enum verdict check_domain(struct evaluation *evaluation, const char *name, const char *what, const char *class)
{
    struct dnsxl_list list;
    enum verdict verdict;
    if (!take_list(evaluation, name, &list, &verdict))
        return verdict;
    if (what == NULL || *what == '\0')
        return VERDICT_DUNNO;
    const char *query = domain_query(evaluation, &list, what);
    if (query == NULL || find(evaluation, query, &list) != LISTED)
        return VERDICT_DUNNO;
    return refuse(evaluation, query, &list, what, class);
}

static const char *known(const char *name)
{
    return strcmp(name, "unknown") != 0 ? name : NULL;
}

enum verdict restrict_rhsbl_client(struct evaluation *evaluation, const char *name)
{
    return check_domain(evaluation, name, known(evaluation->session->client_name), "Client host");
}

enum verdict restrict_rhsbl_reverse_client(struct evaluation *evaluation, const char *name)
{
    return check_domain(evaluation, name, known(client_of(evaluation)->reverse_name), "Unverified Client host");
}

enum verdict restrict_rhsbl_helo(struct evaluation *evaluation, const char *name)
{
    return check_domain(evaluation, name, evaluation->session->helo_name, "Helo command");
}

enum verdict restrict_rhsbl_sender(struct evaluation *evaluation, const char *name)
{
    return check_domain(evaluation, name, evaluation->sender, "Sender address");
}

enum verdict restrict_rhsbl_recipient(struct evaluation *evaluation, const char *name)
{
    return check_domain(evaluation, name, evaluation->recipient, "Recipient address");
}

/* A list that lets through must not make us a relay: it is not asked for a recipient that is not ours. */
static enum verdict permit(struct evaluation *evaluation, const char *name, bool by_address)
{
    struct dnsxl_list list;
    enum verdict verdict;
    if (!take_list(evaluation, name, &list, &verdict))
        return verdict;
    if (strcmp(evaluation->where, "RCPT") == 0 && evaluation->recipient != NULL) {
        verdict = restrict_permit_auth_destination(evaluation, name);
        if (verdict != VERDICT_PERMIT)
            return verdict;
    }
    const char *subject = by_address ? evaluation->session->client_address : known(evaluation->session->client_name);
    const char *query = by_address ? address_query(evaluation, &list) :
                        subject != NULL ? domain_query(evaluation, &list, subject) : NULL;
    if (query == NULL)
        return VERDICT_DUNNO;
    enum listing listing = find(evaluation, query, &list);
    if (listing == UNCERTAIN)
        restrict_defer_if(evaluation, &evaluation->defer_if_reject, 450, "4.7.1",
                          arena_printf(evaluation->session->scratch, "<%s>: %s rejected: %s", subject, "Client host",
                                       "Service unavailable"));
    return listing == LISTED ? VERDICT_PERMIT : VERDICT_DUNNO;
}

enum verdict restrict_dnswl_client(struct evaluation *evaluation, const char *name)
{
    return permit(evaluation, name, true);
}

enum verdict restrict_rhswl_client(struct evaluation *evaluation, const char *name)
{
    return permit(evaluation, name, false);
}
