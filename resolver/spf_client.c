/* SPDX-License-Identifier: ISC */
/*
 * spf_client: the parts of an SPF check that libspf2 does not do: the client's validated names (ptr and %{p}) and the
 * explanation of a fail. Called by spf_check. Faults of DNS are no matches here, and no explanation (RFC 7208 5.5, 6.2).
 */
#include <arpa/inet.h>

#include "common/dns/dns_reverse.h"
#include "resolver/spf_internal.h"

#define MAX_NAMES 10 /* RFC 7208 4.6.4 */

static bool has_client_address(struct spf_run *run, const char *name)
{
    struct dns_answer answer;
    unsigned char raw[16];
    spf_ask(run, name, run->is_ip6 ? DNS_AAAA : DNS_A, &answer);
    for (size_t i = 0; i < answer.count; i++)
        if (inet_pton(run->is_ip6 ? AF_INET6 : AF_INET, answer.records[i].data, raw) == 1 &&
            memcmp(raw, run->raw, run->is_ip6 ? 16 : 4) == 0)
            return true;
    return false;
}

static void find_names(struct spf_run *run)
{
    struct dns_answer answer;
    if (run->names_known)
        return;
    run->names_known = true;
    spf_ask(run, dns_reverse_name(run->values.address, run->arena), DNS_PTR, &answer);
    size_t count = answer.count < MAX_NAMES ? answer.count : MAX_NAMES;
    run->names = arena_alloc_array(run->arena, count, sizeof *run->names);
    for (size_t i = 0; i < count; i++) {
        char *name = arena_strdup(run->arena, answer.records[i].data);
        size_t len = strlen(name);
        if (len > 0 && name[len - 1] == '.')
            name[len - 1] = '\0';
        if (has_client_address(run, name))
            run->names[run->name_count++] = name;
    }
}

/* 2: the domain itself; 1: below it; 0: elsewhere. */
static int closeness(const char *name, const char *domain)
{
    size_t len = strlen(name), domain_len = strlen(domain);
    if (len < domain_len || !text_equal_nocase(name + len - domain_len, domain))
        return 0;
    return len == domain_len ? 2 : name[len - domain_len - 1] == '.';
}

bool spf_ptr_matches(struct spf_run *run, const char *domain)
{
    find_names(run);
    for (size_t i = 0; i < run->name_count; i++)
        if (closeness(run->names[i], domain) > 0)
            return true;
    return false;
}

const char *spf_client_domain(struct spf_run *run, const char *domain)
{
    const char *best = NULL;
    find_names(run);
    for (size_t i = 0; i < run->name_count; i++)
        if (best == NULL || closeness(run->names[i], domain) > closeness(best, domain))
            best = run->names[i];
    return best != NULL ? best : "unknown";
}

/* --- exp= ----------------------------------------------------------------------------------------- */

/* The one TXT record that the domain's exp= leads to; empty: there is none, or not one. */
static struct slice explanation_text(struct spf_run *run)
{
    struct dns_answer answer;
    spf_macro_fill(run, run->explanation_domain, spf_macro_wants_client_domain(run->explanation));
    const char *name = spf_macro_domain(run->explanation, &run->values, run->arena);
    if (name == NULL)
        return SLICE("");
    spf_ask(run, name, DNS_TXT, &answer);
    struct slice text = answer.count == 1 ? slice_of(answer.records[0].data) : SLICE("");
    return text.len <= SPF_MAX_RECORD && spf_macro_is_valid(text, true) ? text : SLICE("");
}

char *spf_explain(struct spf_run *run)
{
    struct str text = STR_EMPTY;
    char *copy = (char *)"";
    if (run->explanation.len == 0)
        return copy;
    struct slice source = explanation_text(run);
    spf_macro_fill(run, run->explanation_domain, spf_macro_wants_client_domain(source));
    if (source.len > 0 && spf_macro_expand(source, &run->values, &text)) {
        str_truncate(&text, text.len < SPF_MAX_EXPLANATION ? text.len : SPF_MAX_EXPLANATION);
        copy = arena_slice(run->arena, str_slice(&text));
        for (char *at = copy; *at != '\0'; at++) /* a sender or HELO name may bring anything along */
            if (*at < ' ' || *at > '~')
                *at = '?';
    }
    str_free(&text);
    return copy;
}
