/* SPDX-License-Identifier: ISC */
/*
 * postscreen_dnsbl: asks all lists about a client at once and adds up their weights. One fiber a list; a list that fails
 * or answers too late counts nothing. One that answers 127.255.255.x refuses our name server and lists nobody.
 */
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/dns/dns_reverse.h"
#include "common/access/dnsxl.h"
#include "common/service/postscreen_internal.h"

struct dnsbl_score {
    char address[64];
    unsigned holders;             /* the session and every question under way */
    unsigned pending;
    int64_t deadline;             /* clock_ms(): what is answered later does not count */
    struct fiber_cond answered;
    int total, best_weight;
    const struct postscreen_site *best; /* the heaviest list that has the client */
    int64_t pass_ttl_s, fail_ttl_s;     /* -1: unknown */
};

struct question {
    struct dnsbl_score *score;
    const struct postscreen_site *first; /* all sites with this domain are answered by one question */
};

static void let_go(struct dnsbl_score *score)
{
    if (--score->holders == 0)
        free(score);
}

static void lower(int64_t *ttl_s, uint32_t answer_ttl)
{
    if (answer_ttl > 0 && (*ttl_s < 0 || *ttl_s > answer_ttl))
        *ttl_s = answer_ttl;
}

static bool site_matches(const struct postscreen_site *site, const struct dns_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        if (!slice_starts_with_nocase(slice_of(answer->records[i].data), SLICE("127.255.255.")) &&
            dnsxl_filter_matches(site->filter, answer->records[i].data))
            return true;
    return false;
}

static void log_answer(const struct dnsbl_score *score, const struct postscreen_site *site, const struct dns_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        if (slice_starts_with_nocase(slice_of(answer->records[i].data), SLICE("127.255.255.")))
            log_warning_as("dnsblog", "%.*s answers %s: it refuses this name server, and lists nobody", SLICE_ARGS(site->domain),
                           answer->records[i].data);
        else
            log_info_as("dnsblog", "addr %s listed by domain %.*s as %s", score->address, SLICE_ARGS(site->domain),
                        answer->records[i].data);
}

static void take_answer(struct dnsbl_score *score, const struct postscreen_site *first, const struct dns_answer *answer)
{
    const struct postscreen_site *end = postscreen.sites + postscreen.site_count;
    for (const struct postscreen_site *site = first; site < end; site++) {
        if (!slice_equal_nocase(site->domain, first->domain))
            continue;
        bool is_listed = answer->count > 0;
        if (is_listed && site_matches(site, answer)) {
            if (score->best == NULL || score->best_weight < site->weight) {
                score->best = site;
                score->best_weight = site->weight;
            }
            score->total += site->weight;
        }
        if (is_listed) /* how long a "no" is good the resolver does not say */
            lower(site->weight > 0 ? &score->fail_ttl_s : &score->pass_ttl_s, answer->ttl);
    }
}

static void question_fiber(void *arg)
{
    struct question *question = arg;
    struct dnsbl_score *score = question->score;
    struct arena *arena = arena_new();
    struct dns_answer answer;
    const char *reversed = dns_reverse(score->address, arena);
    if (reversed != NULL) {
        resolver_query(arena_printf(arena, "%s.%.*s", reversed, SLICE_ARGS(question->first->domain)), DNS_A, arena, &answer);
        log_answer(score, question->first, &answer);
        if (answer.status != DNS_TEMPORARY && clock_ms() <= score->deadline)
            take_answer(score, question->first, &answer);
    }
    arena_free(arena);
    free(question);
    if (--score->pending == 0)
        fiber_cond_broadcast(&score->answered);
    let_go(score);
}

static bool is_first_of_its_domain(size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (slice_equal_nocase(postscreen.sites[i].domain, postscreen.sites[index].domain))
            return false;
    return true;
}

struct dnsbl_score *dnsbl_begin(const char *address)
{
    struct dnsbl_score *score = mem_alloc(sizeof *score);
    size_t len = strlen(address);
    memcpy(score->address, address, len < sizeof score->address ? len : sizeof score->address - 1);
    score->holders = 1;
    score->deadline = deadline_in_s(postscreen.dnsbl_timeout_s);
    score->pass_ttl_s = score->fail_ttl_s = -1;
    for (size_t i = 0; i < postscreen.site_count; i++) {
        if (!is_first_of_its_domain(i))
            continue;
        struct question *question = mem_alloc(sizeof *question);
        *question = (struct question){score, &postscreen.sites[i]};
        score->holders++;
        score->pending++;
        fiber_spawn("dnsbl", question_fiber, question);
    }
    return score;
}

bool dnsbl_is_complete(const struct dnsbl_score *score)
{
    return score->pending == 0;
}

bool dnsbl_wait(struct dnsbl_score *score, int64_t deadline)
{
    int64_t until = deadline < score->deadline ? deadline : score->deadline;
    while (score->pending > 0)
        if (fiber_cond_wait(&score->answered, until) != WAIT_OK)
            return false;
    return true;
}

/* postscreen_dnsbl_reply_map: a list's name may hold a secret. */
static const char *public_name(const struct postscreen_site *site, struct arena *arena)
{
    const char *name = arena_slice(arena, site->domain);
    struct table_answer answer;
    if (*postscreen.dnsbl_reply_map != '\0' &&
        lookup_find(postscreen.dnsbl_reply_map, KEY_EXACT, "postscreen_dnsbl_reply_map", name, arena, &answer) &&
        answer.status == TABLE_FOUND)
        return answer.value;
    return name;
}

void dnsbl_finish(struct dnsbl_score *score, struct postscreen_session *session)
{
    int64_t ttl_s = score->total > 0 ? score->fail_ttl_s : score->pass_ttl_s;
    session->score = score->total;
    if (ttl_s < postscreen.dnsbl_min_ttl_s)
        ttl_s = postscreen.dnsbl_min_ttl_s;
    session->dnsbl_ttl_s = ttl_s > postscreen.dnsbl_max_ttl_s ? postscreen.dnsbl_max_ttl_s : ttl_s;
    session->list_name = score->best != NULL && session->score >= postscreen.dnsbl_threshold ?
                         public_name(score->best, session->arena) : "";
    let_go(score);
}
