/* SPDX-License-Identifier: ISC */
/*
 * spf_check: check_host() of RFC 7208, evaluated by libspf2 on our DNS. Called by the resolver role on a fiber.
 *
 * libspf2 1.2.10 has known faults, all of them in what reads records and expands macros, and it does not count across
 * includes, knows no void lookups and refuses "/0". So it never sees a stranger's byte: the record is read by
 * spf_record, and libspf2 compiles one that is written here, in which every domain is a token ("t7") that comes
 * back through the hooks below. They expand macros (only when a term is reached), ask, count and bound. What libspf2
 * decides is the order of terms, qualifiers, networks, include and redirect.
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <spf2/spf.h>
#include <spf2/spf_dns.h>
#include <spf2/spf_record.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "resolver/spf_internal.h"

#define MAX_LOOKUPS 10   /* terms that ask DNS; RFC 7208 4.6.4 */
#define MAX_VOID 2       /* of them without an answer */
#define MAX_TOKENS 4096  /* of all records together */
#define TIME_LIMIT 20    /* seconds; RFC 7208 4.6.4 */

/* --- how it ends -------------------------------------------------------------------------------- */

void spf_force(struct spf_run *run, uint8_t result, const char *problem)
{
    if (run->forced != SPF_UNCHECKED)
        return;
    run->forced = result;
    run->problem = problem;
}

static uint8_t result_of(SPF_result_t result)
{
    switch (result) {
    case SPF_RESULT_PASS: return SPF_PASS;
    case SPF_RESULT_FAIL: return SPF_FAIL;
    case SPF_RESULT_SOFTFAIL: return SPF_SOFTFAIL;
    case SPF_RESULT_NEUTRAL: return SPF_NEUTRAL;
    case SPF_RESULT_NONE: return SPF_NONE;
    case SPF_RESULT_TEMPERROR: return SPF_TEMPERROR;
    default: return SPF_PERMERROR;
    }
}

/* --- DNS ------------------------------------------------------------------------------------------- */

void spf_ask(struct spf_run *run, const char *name, enum dns_type type, struct dns_answer *answer)
{
    *answer = (struct dns_answer){.status = DNS_TEMPORARY};
    if (clock_ms() < run->deadline)
        query_ask(name, (uint16_t)type, run->deadline, run->arena, answer);
    if (clock_ms() >= run->deadline)
        spf_force(run, SPF_TEMPERROR, "it takes too long");
}

/* A term that asks DNS is about to. False: one too many. */
static bool count_lookup(struct spf_run *run)
{
    if (++run->lookups > MAX_LOOKUPS)
        spf_force(run, SPF_PERMERROR, "more than 10 terms that ask DNS");
    return run->forced == SPF_UNCHECKED;
}

static void count_void(struct spf_run *run, const struct dns_answer *answer)
{
    if ((answer->status == DNS_NO_NAME || answer->status == DNS_NO_DATA) && ++run->voids > MAX_VOID)
        spf_force(run, SPF_PERMERROR, "more than 2 terms without a DNS answer");
}

/* --- tokens ------------------------------------------------------------------------------------------- */

static size_t add_token(struct spf_run *run, struct spf_token token)
{
    if (run->token_count == run->token_room) {
        size_t room = run->token_room * 2 + 16;
        struct spf_token *all = arena_alloc_array(run->arena, room, sizeof *all);
        if (run->token_count > 0)
            memcpy(all, run->tokens, run->token_count * sizeof *all);
        run->tokens = all;
        run->token_room = room;
    }
    if (run->token_count == MAX_TOKENS)
        spf_force(run, SPF_PERMERROR, "too many terms");
    else
        run->tokens[run->token_count++] = token;
    return run->token_count - 1;
}

/* The token behind "t7"; NULL: none of ours, which cannot be. */
static struct spf_token *find_token(struct spf_run *run, const char *name)
{
    uint64_t number;
    if (name[0] != 't' || !slice_to_u64(slice_of(name + 1), &number) || number >= run->token_count)
        return NULL;
    return &run->tokens[number];
}

void spf_macro_fill(struct spf_run *run, const char *domain, bool wants_client_domain)
{
    run->values.domain = domain;
    if (wants_client_domain)
        run->values.client_domain = spf_client_domain(run, domain);
}

/* The name that a token asks about; NULL: there can be no such name. */
static const char *name_of(struct spf_run *run, struct spf_token *token)
{
    if (token->name != NULL || token->spec.len == 0)
        return token->name;
    spf_macro_fill(run, token->domain, spf_macro_wants_client_domain(token->spec));
    token->name = spf_macro_domain(token->spec, &run->values, run->arena);
    return token->name;
}

/* --- the record for libspf2 --------------------------------------------------------------------------- */

static void put_token(struct spf_run *run, const struct spf_term *term, const char *domain, enum spf_token_kind kind,
                      bool matches_any, struct str *out)
{
    struct spf_token token = {.kind = kind, .spec = term->domain, .domain = domain, .matches_any = matches_any};
    if (term->domain.len == 0)
        token.name = (char *)domain;
    str_printf(out, "t%zu", add_token(run, token));
}

static void put_network(const struct spf_run *run, const struct spf_term *term, struct str *out)
{
    char address[INET6_ADDRSTRLEN];
    bool is_ip4 = term->mechanism == SPF_IP4;
    unsigned length = is_ip4 ? term->cidr4 : term->cidr6;
    if (is_ip4 == run->is_ip6) /* never matches */
        return;
    if (length == 0) { /* always does; libspf2 refuses /0 */
        str_printf(out, " %call", term->qualifier);
        return;
    }
    if (inet_ntop(is_ip4 ? AF_INET : AF_INET6, term->network, address, sizeof address) == NULL)
        log_panic("address of an SPF record");
    str_printf(out, " %c%s:%s/%u", term->qualifier, is_ip4 ? "ip4" : "ip6", address, length);
}

/* a and mx: only the prefix length of the client's family, and /0 as a token that matches whatever there is. */
static void put_hosts(struct spf_run *run, const struct spf_term *term, const char *domain, struct str *out)
{
    unsigned length = run->is_ip6 ? term->cidr6 : term->cidr4;
    bool is_mx = term->mechanism == SPF_MX;
    str_printf(out, " %c%s:", term->qualifier, is_mx ? "mx" : "a");
    put_token(run, term, domain, is_mx ? SPF_TOKEN_MX : SPF_TOKEN_HOST, length == 0, out);
    if (length > 0)
        str_printf(out, "/%s%u", run->is_ip6 ? "/" : "", length);
}

static void put_term(struct spf_run *run, const struct spf_term *term, const char *domain, struct str *out)
{
    switch (term->mechanism) {
    case SPF_ALL:
        str_printf(out, " %call", term->qualifier);
        return;
    case SPF_IP4:
    case SPF_IP6:
        put_network(run, term, out);
        return;
    case SPF_A:
    case SPF_MX:
        put_hosts(run, term, domain, out);
        return;
    case SPF_INCLUDE:
        str_printf(out, " %cinclude:", term->qualifier);
        put_token(run, term, domain, SPF_TOKEN_RECORD, false, out);
        return;
    default:
        str_printf(out, " %cexists:", term->qualifier);
        put_token(run, term, domain, term->mechanism == SPF_PTR ? SPF_TOKEN_PTR : SPF_TOKEN_EXISTS, false, out);
    }
}

static bool has_all(const struct spf_record *record)
{
    for (size_t i = 0; i < record->count; i++)
        if (record->terms[i].mechanism == SPF_ALL)
            return true;
    return false;
}

/* is_main: the outcome of this record is the outcome of the check, so its exp= explains a fail and its redirect leads on
 * to the next such record (RFC 7208 6.2). */
static void write_record(struct spf_run *run, const struct spf_record *record, const char *domain, bool is_main, struct str *out)
{
    str_append(out, "v=spf1");
    for (size_t i = 0; i < record->count; i++)
        put_term(run, &record->terms[i], domain, out);
    if (is_main) {
        run->explanation = record->explanation;
        run->explanation_domain = domain;
    }
    if (record->redirect.len > 0 && !has_all(record)) {
        struct spf_token token = {.kind = SPF_TOKEN_RECORD, .spec = record->redirect, .domain = domain, .is_main = is_main};
        str_printf(out, " redirect=t%zu", add_token(run, token));
    }
}

/* --- finding records ------------------------------------------------------------------------------------- */

/* RFC 7208 4.5. */
static uint8_t select_record(const struct dns_answer *answer, struct slice *text, const char **problem)
{
    unsigned found = 0;
    for (size_t i = 0; i < answer->count; i++)
        if (spf_record_is(slice_of(answer->records[i].data))) {
            *text = slice_of(answer->records[i].data);
            found++;
        }
    *problem = found > 1 ? "several SPF records" : "no SPF record";
    return found > 1 ? SPF_PERMERROR : found == 1 ? SPF_PASS : SPF_NONE;
}

/* Asks for the domain's record and writes it for libspf2. SPF_PASS, or what went wrong. */
static uint8_t fetch_record(struct spf_run *run, const char *domain, bool is_main, struct str *out, const char **problem)
{
    struct dns_answer answer;
    struct spf_record record;
    struct slice text;
    spf_ask(run, domain, DNS_TXT, &answer);
    *problem = "DNS cannot tell now";
    if (answer.status == DNS_TEMPORARY)
        return SPF_TEMPERROR;
    uint8_t result = select_record(&answer, &text, problem);
    if (result != SPF_PASS)
        return result;
    if (!spf_record_parse(text, run->arena, &record, problem))
        return SPF_PERMERROR;
    write_record(run, &record, domain, is_main, out);
    return SPF_PASS;
}

static SPF_errcode_t compile(struct spf_run *run, SPF_server_t *server, SPF_response_t *response, SPF_record_t **record,
                             const char *text)
{
    SPF_errcode_t error = SPF_record_compile(server, response, record, text);
    if (error != SPF_E_SUCCESS) {
        log_warning("SPF record of %s, rewritten as \"%.200s\": %s", run->values.sender_domain, text, SPF_strerror(error));
        spf_force(run, SPF_PERMERROR, "the record cannot be evaluated");
    }
    return error;
}

/* include and redirect; the first call is for the record that run->first holds. */
static SPF_errcode_t get_record(SPF_server_t *server, SPF_request_t *request, SPF_response_t *response, SPF_record_t **record)
{
    struct spf_run *run = server->resolver->hook;
    struct str text = STR_EMPTY;
    const char *problem, *name;
    *record = NULL;
    if (!run->is_started) {
        run->is_started = true;
        return compile(run, server, response, record, str_text(&run->first));
    }
    struct spf_token *token = find_token(run, request->cur_dom);
    if (token == NULL || token->kind != SPF_TOKEN_RECORD || !count_lookup(run))
        return SPF_E_SYNTAX;
    bool is_main = token->is_main; /* the array may move */
    name = name_of(run, token);
    uint8_t result = name == NULL ? SPF_NONE : fetch_record(run, name, is_main, &text, &problem);
    if (result == SPF_NONE)
        problem = is_main ? "redirect= to a domain without a record" : "include: of a domain without a record";
    if (result != SPF_PASS)
        spf_force(run, result == SPF_NONE ? SPF_PERMERROR : result, problem);
    SPF_errcode_t error = result == SPF_PASS ? compile(run, server, response, record, str_text(&text)) :
                          result == SPF_TEMPERROR ? SPF_E_DNS_ERROR : SPF_E_SYNTAX;
    str_free(&text);
    return error;
}

/* --- answers for libspf2 ------------------------------------------------------------------------------------- */

static void *add_data(SPF_dns_rr_t *rr, size_t len)
{
    if (SPF_dns_rr_buf_realloc(rr, rr->num_rr, len) != SPF_E_SUCCESS)
        mem_exhausted(len);
    return rr->rr[rr->num_rr++];
}

static void add_address(SPF_dns_rr_t *rr, const void *raw, size_t size)
{
    memcpy(add_data(rr, size > sizeof(SPF_dns_rr_data_t) ? size : sizeof(SPF_dns_rr_data_t)), raw, size);
}

static void answer_host(struct spf_run *run, const struct spf_token *token, const char *name, SPF_dns_rr_t *rr)
{
    struct dns_answer answer;
    bool is_ip6 = run->is_ip6 && token->kind == SPF_TOKEN_HOST; /* exists: asks for A, whoever the client is */
    unsigned char raw[16];
    bool counts = !token->is_exchanger;
    bool matches_any = token->matches_any, exists = token->kind == SPF_TOKEN_EXISTS;
    spf_ask(run, name, is_ip6 ? DNS_AAAA : DNS_A, &answer);
    if (counts)
        count_void(run, &answer);
    if (answer.status == DNS_TEMPORARY)
        spf_force(run, SPF_TEMPERROR, "DNS cannot tell now");
    for (size_t i = 0; i < answer.count; i++) {
        if (matches_any || exists) {
            add_address(rr, exists ? (const void *)"\x7f\0\0\2" : run->raw, is_ip6 ? 16 : 4);
            break;
        }
        if (inet_pton(is_ip6 ? AF_INET6 : AF_INET, answer.records[i].data, raw) == 1)
            add_address(rr, raw, is_ip6 ? 16 : 4);
    }
}

static void answer_exchangers(struct spf_run *run, const struct spf_token *token, const char *name, SPF_dns_rr_t *rr)
{
    struct dns_answer answer;
    bool matches_any = token->matches_any;
    spf_ask(run, name, DNS_MX, &answer);
    count_void(run, &answer);
    if (answer.status == DNS_TEMPORARY)
        spf_force(run, SPF_TEMPERROR, "DNS cannot tell now");
    if (answer.count > 10)
        spf_force(run, SPF_PERMERROR, "more than 10 MX names");
    for (size_t i = 0; i < answer.count && run->forced == SPF_UNCHECKED; i++) {
        char text[16];
        struct spf_token host = {.kind = SPF_TOKEN_HOST, .name = answer.records[i].data, .matches_any = matches_any,
                                 .is_exchanger = true};
        int len = snprintf(text, sizeof text, "t%zu", add_token(run, host));
        memcpy(add_data(rr, sizeof text), text, (size_t)len + 1);
    }
}

static void answer_token(struct spf_run *run, struct spf_token *token, ns_type type, SPF_dns_rr_t *rr)
{
    if (!token->is_exchanger && !count_lookup(run))
        return;
    enum spf_token_kind kind = token->kind;
    bool is_address = type == ns_t_a || type == ns_t_aaaa;
    const char *name = name_of(run, token);
    if (name == NULL || run->forced != SPF_UNCHECKED)
        return;
    if (kind == SPF_TOKEN_MX && type == ns_t_mx)
        answer_exchangers(run, token, name, rr);
    else if (kind == SPF_TOKEN_PTR && is_address) {
        if (spf_ptr_matches(run, name))
            add_address(rr, "\x7f\0\0\2", 4);
    } else if (is_address)
        answer_host(run, token, name, rr);
}

static SPF_dns_rr_t *lookup(SPF_dns_server_t *dns, const char *name, ns_type type, int should_cache UNUSED)
{
    struct spf_run *run = dns->hook;
    SPF_dns_rr_t *rr = SPF_dns_rr_new_init(dns, name, type, 0, HOST_NOT_FOUND);
    if (rr == NULL)
        mem_exhausted(sizeof *rr);
    struct spf_token *token = find_token(run, name);
    if (token != NULL && run->forced == SPF_UNCHECKED)
        answer_token(run, token, type, rr);
    rr->herrno = run->forced != SPF_UNCHECKED ? TRY_AGAIN : rr->num_rr > 0 ? NETDB_SUCCESS : HOST_NOT_FOUND;
    return rr;
}

/* Never asked: the records written here have no exp=. */
static SPF_errcode_t get_explanation(SPF_server_t *server UNUSED, const char *domain UNUSED, char **text UNUSED,
                                     size_t *len UNUSED)
{
    return SPF_E_NOT_CONFIG;
}

void spf_open(void)
{
    SPF_error_handler = NULL; /* it aborts by itself */
    SPF_warning_handler = SPF_info_handler = SPF_debug_handler = NULL;
}

/* --- one check --------------------------------------------------------------------------------------------- */

static uint8_t evaluate(struct spf_run *run)
{
    SPF_dns_server_t dns = {.lookup = lookup, .get_spf = get_record, .get_exp = get_explanation, .name = "posthorn", .hook = run};
    SPF_server_t *server = SPF_server_new_dns(&dns, 0);
    SPF_request_t *request = server != NULL ? SPF_request_new(server) : NULL;
    SPF_response_t *response = NULL;
    struct in6_addr ip6;
    struct in_addr ip4;
    if (request == NULL)
        mem_exhausted(sizeof *request);
    memcpy(&ip6, run->raw, sizeof ip6);
    memcpy(&ip4, run->raw, sizeof ip4);
    SPF_errcode_t error = run->is_ip6 ? SPF_request_set_ipv6(request, ip6) : SPF_request_set_ipv4(request, ip4);
    if (error == SPF_E_SUCCESS && SPF_request_set_env_from(request, "x@x") == 0)
        SPF_request_query_mailfrom(request, &response); /* the response says what its code says */
    uint8_t result = response != NULL ? result_of(SPF_response_result(response)) : SPF_TEMPERROR;
    if (response != NULL)
        SPF_response_free(response);
    SPF_request_free(request);
    SPF_server_free(server);
    return run->forced != SPF_UNCHECKED ? run->forced : result;
}

static void check_run(struct spf_run *run, struct spf_verdict *verdict)
{
    verdict->result = fetch_record(run, run->values.domain, true, &run->first, &run->problem);
    if (verdict->result == SPF_PASS) {
        run->problem = "";
        verdict->result = evaluate(run);
    } else if (run->forced != SPF_UNCHECKED)
        verdict->result = run->forced;
    str_free(&run->first);
    if (verdict->result == SPF_TEMPERROR || verdict->result == SPF_PERMERROR)
        verdict->problem = (char *)run->problem;
    if (verdict->result == SPF_FAIL)
        verdict->explanation = spf_explain(run);
}

/* "::ffff:192.0.2.1" is 192.0.2.1 (RFC 7208 5). */
static bool read_client(struct spf_run *run, const char *address)
{
    char text[INET6_ADDRSTRLEN];
    if (inet_pton(AF_INET, address, run->raw) == 1)
        run->is_ip6 = false;
    else if (inet_pton(AF_INET6, address, run->raw) != 1)
        return false;
    else if (memcmp(run->raw, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0)
        memmove(run->raw, run->raw + 12, 4);
    else
        run->is_ip6 = true;
    if (inet_ntop(run->is_ip6 ? AF_INET6 : AF_INET, run->raw, text, sizeof text) == NULL)
        return false;
    run->values.address = arena_strdup(run->arena, text);
    return true;
}

void spf_check_host(const struct spf_question *question, const char *sender, struct arena *arena, struct spf_verdict *verdict)
{
    const char *at = strrchr(sender, '@');
    struct spf_run run = {.arena = arena, .deadline = deadline_in_s(TIME_LIMIT), .problem = ""};
    char *domain = arena_strdup(arena, at != NULL ? at + 1 : sender);
    *verdict = (struct spf_verdict){.result = SPF_NONE, .domain = domain, .problem = (char *)"", .explanation = (char *)""};
    if (!spf_domain_is_valid(domain) || !read_client(&run, question->address))
        return;
    const char *local = at != NULL && at > sender ? arena_strndup(arena, sender, (size_t)(at - sender)) : "postmaster";
    run.values.local_part = local;
    run.values.sender = arena_printf(arena, "%s@%s", local, domain);
    run.values.sender_domain = run.values.domain = domain;
    run.values.helo = question->helo;
    run.values.receiver = *question->receiver != '\0' ? question->receiver : "unknown";
    run.values.client_domain = "unknown";
    run.values.now = wall_us() / 1000000;
    check_run(&run, verdict);
}

void spf_check(const struct spf_question *question, struct arena *arena, struct spf_answer *answer)
{
    static const struct spf_verdict unchecked = {SPF_UNCHECKED, (char *)"", (char *)"", (char *)""};
    const char *helo_sender = arena_printf(arena, "postmaster@%s", question->helo);
    bool is_null = *question->sender == '\0';
    answer->helo = answer->mail_from = unchecked;
    if ((question->identities & SPF_HELO) != 0 || (is_null && (question->identities & SPF_MAIL_FROM) != 0))
        spf_check_host(question, helo_sender, arena, &answer->helo);
    if (answer->helo.result == SPF_FAIL || (question->identities & SPF_MAIL_FROM) == 0)
        return;
    if (is_null)
        answer->mail_from = answer->helo;
    else
        spf_check_host(question, question->sender, arena, &answer->mail_from);
}
