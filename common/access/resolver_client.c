/* SPDX-License-Identifier: ISC */
/* resolver_client: smtpd's questions to the resolver role, one round trip each. A resolver that is down is "cannot say
 * now", logged here, and the session goes on. */
#include "common/base/log.h"
#include "common/process/role.h"
#include "common/access/access.h"
#include "common/access/dns_filter.h"
#include "common/access/trace.h"

#define RESTART_WAIT 2       /* seconds; a crashed resolver is usually back by then */
#define RESOLVER_TIMEOUT 100 /* seconds; the resolver gives up earlier by itself */

static bool ask(enum dns_request type, const char *what, struct str *question, struct str *answer)
{
    enum ipc_status status = IPC_LOST;
    *answer = STR_EMPTY;
    if (question->len <= SPF_MAX_QUESTION && role_wait_peer(ROLE_RESOLVER, NULL, deadline_in_s(RESTART_WAIT)) != NULL)
        status = role_call(ROLE_RESOLVER, NULL, type, str_slice(question), answer, NULL, deadline_in_s(RESOLVER_TIMEOUT));
    str_free(question);
    if (status == IPC_OK)
        return true;
    if (status != IPC_CANCELLED)
        log_warning("resolver service: %s for %.100s", status == IPC_TIMEOUT ? "no answer in time" : "connection lost", what);
    return false;
}

static const char *status_text(uint8_t status)
{
    static const char *const texts[] = {"found", "no such name", "no such record", "cannot be told now", "unusable answer",
                                        "accepts no mail (null MX)", "nothing that smtpd_dns_reply_filter lets through"};
    return status < sizeof texts / sizeof texts[0] ? texts[status] : "?";
}

static void trace_query(const char *name, enum dns_type type, const struct dns_answer *answer)
{
    if (trace_current() == NULL)
        return;
    struct str question = STR_EMPTY, result = STR_EMPTY;
    str_printf(&question, "%s %s", name, dns_type_name((uint16_t)type));
    for (size_t i = 0; i < answer->count; i++)
        str_printf(&result, "%s%s", i > 0 ? ", " : "", answer->records[i].data);
    trace_input("DNS", str_text(&question), "%s", answer->count > 0 ? str_text(&result) : status_text(answer->status));
    str_free(&question);
    str_free(&result);
}

static void trace_peername(const char *address, const struct dns_peername *peer)
{
    trace_input("DNS", address, "PTR %s, verified name %s%s%s", peer->reverse_name, peer->name,
                *peer->warning != '\0' ? "; " : "", peer->warning);
}

static void query(const char *name, enum dns_type type, struct arena *arena, struct dns_answer *answer)
{
    struct str body = STR_EMPTY, reply;
    *answer = (struct dns_answer){.status = DNS_NO_NAME};
    if (strlen(name) > DNS_MAX_NAME) /* no such name can exist */
        return;
    ipc_put_text(&body, name);
    ipc_put_u16(&body, (uint16_t)type);
    answer->status = DNS_TEMPORARY;
    if (!ask(DNS_QUERY, name, &body, &reply))
        return;
    if (!dns_answer_decode(str_slice(&reply), arena, answer))
        log_fatal("resolver service: malformed answer about %s", name);
    str_free(&reply);
}

/* RFC 6761 6.3: everybody knows, and no name server is asked. */
static bool is_localhost(const char *name, enum dns_type type, struct arena *arena, struct dns_answer *answer)
{
    if (!text_equal_nocase(name, "localhost") || (type != DNS_A && type != DNS_AAAA))
        return false;
    *answer = (struct dns_answer){.status = DNS_FOUND, .records = arena_alloc(arena, sizeof *answer->records), .count = 1};
    answer->records[0].data = arena_strdup(arena, type == DNS_A ? "127.0.0.1" : "::1");
    return true;
}

void resolver_query_unfiltered(const char *name, enum dns_type type, struct arena *arena, struct dns_answer *answer)
{
    if (!is_localhost(name, type, arena, answer))
        query(name, type, arena, answer);
    trace_query(name, type, answer);
}

void resolver_query(const char *name, enum dns_type type, struct arena *arena, struct dns_answer *answer)
{
    query(name, type, arena, answer);
    if (answer->count > 0 && *smtpd.dns_reply_filter != '\0')
        dns_filter(smtpd.dns_reply_filter, name, type, arena, answer);
    trace_query(name, type, answer);
}

void resolver_peername(const char *address, struct arena *arena, struct dns_peername *peer)
{
    struct str body = STR_EMPTY, reply;
    *peer = (struct dns_peername){.status = PEERNAME_TEMPORARY, .reverse_status = PEERNAME_TEMPORARY,
                                  .name = (char *)"unknown", .reverse_name = (char *)"unknown", .warning = (char *)""};
    ipc_put_text(&body, address);
    if (!ask(DNS_PEERNAME, address, &body, &reply))
        return;
    if (!dns_peername_decode(str_slice(&reply), arena, peer))
        log_fatal("resolver service: malformed answer about %s", address);
    str_free(&reply);
    trace_peername(address, peer);
}

static struct spf_verdict unknown_verdict(const char *domain, bool is_asked)
{
    return (struct spf_verdict){.result = is_asked ? SPF_TEMPERROR : SPF_UNCHECKED, .domain = (char *)domain,
                                .problem = (char *)"cannot be checked now", .explanation = (char *)""};
}

void resolver_spf(const struct spf_question *question, struct arena *arena, struct spf_answer *answer)
{
    struct str body = STR_EMPTY, reply;
    struct spf_question bounded = *question;
    const char *at = strrchr(question->sender, '@');
    if (strlen(bounded.helo) > SPF_MAX_TEXT) /* nobody can have published anything about that */
        bounded.helo = "";
    if (strlen(bounded.sender) > SPF_MAX_TEXT)
        bounded.sender = at != NULL && strlen(at) <= SPF_MAX_TEXT ? at : "@";
    answer->helo = unknown_verdict(bounded.helo, (question->identities & SPF_HELO) != 0 || *question->sender == '\0');
    answer->mail_from = unknown_verdict(at != NULL ? at + 1 : "", (question->identities & SPF_MAIL_FROM) != 0);
    spf_question_encode(&bounded, &body);
    if (!ask(DNS_SPF, bounded.sender, &body, &reply))
        return;
    if (!spf_answer_decode(str_slice(&reply), arena, answer))
        log_fatal("resolver service: malformed answer about %s", bounded.sender);
    str_free(&reply);
}
