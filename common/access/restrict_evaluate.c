/* SPDX-License-Identifier: ISC */
/*
 * restrict_evaluate: reads a list word by word and lets each restriction speak; builds, maps and logs refusals.
 * Called by policy.c for every stage. A word that is no restriction is a configuration error: 451 4.3.5.
 */
#include <stdarg.h>
#include <string.h>

#include "common/base/log.h"
#include "common/access/restrict.h"
#include "common/access/trace.h"

#define DEPTH_LIMIT 100 /* nested classes and table results */

/* --- words for people ------------------------------------------------------------------ */

const char *restrict_class(enum restrict_stage stage)
{
    static const char *const names[SUBJECT_COUNT] = {"Client host", "Helo command", "Sender address", "Recipient address",
                                                   "Recipient address", "Data command", "End-of-data", "Etrn command",
                                                     "Unverified Client host", "SASL login name", "Client certificate"};
    return names[stage];
}

const char *restrict_subject(struct evaluation *evaluation, enum restrict_stage stage)
{
    switch (stage) {
    case STAGE_CLIENT:
        return evaluation->session->client;
    case SUBJECT_REVERSE_CLIENT:
        return ((const struct smtpd_client *)evaluation->session->owner)->reverse_name;
    case SUBJECT_SASL_LOGIN:
        return evaluation->session->sasl_username != NULL ? evaluation->session->sasl_username : "";
    case SUBJECT_CLIENT_CERTIFICATE:
        return evaluation->session->tls != NULL ? evaluation->session->tls->subject : "";
    case STAGE_HELO:
        return evaluation->session->helo_name != NULL ? evaluation->session->helo_name : "";
    case STAGE_SENDER:
        return evaluation->sender != NULL ? evaluation->sender : "";
    case STAGE_RELAY:
    case STAGE_RECIPIENT:
        return evaluation->recipient != NULL ? evaluation->recipient : "";
    case STAGE_DATA:
        return "DATA";
    case STAGE_END_OF_DATA:
        return "END-OF-MESSAGE";
    default:
        return evaluation->etrn_domain != NULL ? evaluation->etrn_domain : "";
    }
}

void restrict_log(struct evaluation *evaluation, const char *action, const char *text)
{
    struct smtp_session *session = evaluation->session;
    enum smtp_fault fault = evaluation->fault != 0 ? evaluation->fault : FAULT_POLICY;
    if (strcmp(action, "reject") == 0)
        smtp_session_blame(session, fault);
    else if (strcmp(action, "reject_warning") == 0)
        session->faults |= (uint8_t)fault; /* as in Postfix: the postmaster hears of it, the client does not */
    log_info("%s: %s: %s from %s: %s;%s", smtp_session_id(session), action, evaluation->where, session->client, text,
             smtp_session_log_tail(session, evaluation->sender, evaluation->recipient));
}

/* --- refusing ----------------------------------------------------------------------------- */

/* A reply is one line. */
static void tidy_reply(char *reply)
{
    for (char *c = reply; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = ' ';
}

static char *make_reply(struct evaluation *evaluation, int64_t code, const char *dsn, const char *text)
{
    char *reply = arena_printf(evaluation->session->scratch, "%lld %s %s", (long long)code, dsn, text);
    if (code < 400 || code > 599) {
        log_warning("SMTP reply code configuration error: %s", reply);
        reply = arena_strdup(evaluation->session->scratch, "450 4.7.1 Service unavailable");
    }
    tidy_reply(reply);
    if (smtpd.soft_bounce && reply[0] == '5')
        reply[0] = '4';
    reply[4] = reply[0]; /* the class of the status follows the code */
    return reply;
}

static char *format_text(struct evaluation *evaluation, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
static char *format_text(struct evaluation *evaluation, const char *fmt, va_list args)
{
    struct str text = STR_EMPTY;
    str_vprintf(&text, fmt, args);
    char *copy = arena_slice(evaluation->session->scratch, str_slice(&text));
    str_free(&text);
    return copy;
}

enum verdict restrict_reject(struct evaluation *evaluation, int64_t code, const char *dsn, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *reply = make_reply(evaluation, code, dsn, format_text(evaluation, fmt, args));
    va_end(args);
    bool warn = evaluation->warn_only && !evaluation->is_broken, is_final = code / 100 == 5; /* also where bounces are soft */
    if (evaluation->defer_if_reject != NULL && is_final && !warn)
        reply = evaluation->defer_if_reject;
    restrict_log(evaluation, warn ? "reject_warning" : "reject", reply);
    if (warn)
        return VERDICT_DUNNO;
    evaluation->reply = reply;
    return VERDICT_REJECT;
}

enum verdict restrict_reject_subject(struct evaluation *evaluation, int64_t code, const char *dsn, const char *what)
{
    return restrict_reject(evaluation, code, dsn, "<%s>: %s rejected: %s", restrict_subject(evaluation, evaluation->subject),
                           restrict_class(evaluation->subject), what);
}

enum verdict restrict_broken(struct evaluation *evaluation)
{
    evaluation->is_broken = true;
    evaluation->fault = FAULT_SOFTWARE;
    enum verdict verdict = restrict_reject(evaluation, 451, "4.3.5", "Server configuration error");
    evaluation->is_broken = false;
    evaluation->fault = 0;
    return verdict;
}

void restrict_defer_if(struct evaluation *evaluation, char **slot, int64_t code, const char *dsn, const char *text)
{
    /* A deferral that waits for a reject is none by itself: Postfix warns of the other kind only. */
    if (evaluation->warn_only && slot == &evaluation->defer_if_permit) {
        restrict_log(evaluation, "reject_warning", make_reply(evaluation, code, dsn, text));
        return;
    }
    if (*slot == NULL)
        *slot = make_reply(evaluation, code, dsn, text);
}

/* --- lists ------------------------------------------------------------------------------------ */

const char *restrict_argument(struct evaluation *evaluation)
{
    if (evaluation->at + 1 >= evaluation->list->count)
        return NULL;
    return evaluation->list->words[++evaluation->at];
}

static const struct restrict_list *find_class(const char *name)
{
    for (size_t i = 0; i < smtpd.class_count; i++)
        if (text_equal_nocase(smtpd.classes[i].name, name))
            return &smtpd.classes[i];
    return NULL;
}

/* Tables and policy services log their permissions themselves: they name who said so. */
static bool logs_itself(const struct restriction *restriction)
{
    return restriction->run == restrict_permit || restriction->run == restrict_check_relay_domains || (restriction->takes_argument && slice_starts_with_nocase(slice_of(restriction->name), SLICE("check_")));
}

/* A table without check_*_access before it: the stage tells which one is meant. */
static enum verdict run_table(struct evaluation *evaluation, const char *table)
{
    if (evaluation->stage != STAGE_DATA && evaluation->stage != STAGE_END_OF_DATA)
        return restrict_access_lookup(evaluation, table, evaluation->stage);
    log_warning("specify one of (check_client_access, check_reverse_client_hostname_access, check_helo_access, "
                "check_sender_access, check_recipient_access, check_etrn_access) before %s restriction \"%s\"",
                restrict_class(evaluation->subject), table);
    return restrict_broken(evaluation);
}

static enum verdict run_word(struct evaluation *evaluation, const char *word)
{
    const struct restriction *restriction = restrict_at(evaluation->list, evaluation->at);
    if (restriction != NULL) {
        enum verdict verdict = restriction->run(evaluation, word);
        if (verdict == VERDICT_PERMIT && !logs_itself(restriction))
            restrict_log_permit(evaluation, word, restrict_permit_subject(word), NULL);
        return verdict;
    }
    const struct restrict_list *class = find_class(word);
    if (class != NULL)
        return restrict_evaluate_words(evaluation, class);
    if (strchr(word, ':') != NULL)
        return run_table(evaluation, word);
    log_warning("unknown smtpd restriction: \"%s\"", word);
    return restrict_broken(evaluation);
}

/* --- for whoever wants to know ------------------------------------------------------------ */

static void trace_word(const struct restrict_list *list, size_t at)
{
    const struct restriction *restriction = restrict_at(list, at);
    struct str text = STR_EMPTY;
    uint16_t nth = 0;
    for (size_t i = 0; i < at && nth < UINT16_MAX; i++)
        nth = (uint16_t)(nth + (strcmp(list->words[i], list->words[at]) == 0));
    str_append(&text, list->words[at]);
    if (restriction != NULL && restriction->takes_argument && at + 1 < list->count)
        str_printf(&text, " %s", list->words[at + 1]);
    trace_emit(TRACE_WORD, nth, list->name, str_text(&text));
    str_free(&text);
}

/* What a list's word led to; deferrals that wait are told by what they were before. */
static void trace_verdict(const struct evaluation *evaluation, enum verdict verdict, const char *permit_before,
                          const char *reject_before)
{
    if (verdict == VERDICT_REJECT)
        trace_emit(TRACE_VERDICT, 0, evaluation->reply[0] == '4' ? "defer" : "reject", evaluation->reply);
    else if (verdict == VERDICT_PERMIT)
        trace_emit(TRACE_VERDICT, 0, "permit", "");
    else if (evaluation->defer_if_permit != permit_before)
        trace_emit(TRACE_VERDICT, 0, "defer_if_permit", evaluation->defer_if_permit);
    else if (evaluation->defer_if_reject != reject_before)
        trace_emit(TRACE_VERDICT, 0, "defer_if_reject", evaluation->defer_if_reject);
    else
        trace_emit(TRACE_VERDICT, 0, "dunno", "");
}

static enum verdict run_traced(struct evaluation *evaluation, const char *word)
{
    struct trace *trace = trace_current();
    if (trace == NULL)
        return run_word(evaluation, word);
    const char *permit_before = evaluation->defer_if_permit, *reject_before = evaluation->defer_if_reject;
    trace_word(evaluation->list, evaluation->at);
    trace->depth++;
    enum verdict verdict = run_word(evaluation, word);
    trace->depth--;
    trace_verdict(evaluation, verdict, permit_before, reject_before);
    return verdict;
}

enum verdict restrict_evaluate_words(struct evaluation *evaluation, const struct restrict_list *list)
{
    const struct restrict_list *outer = evaluation->list;
    size_t outer_at = evaluation->at;
    enum verdict verdict = VERDICT_DUNNO;
    if (evaluation->depth >= DEPTH_LIMIT) {
        log_warning("restriction class %s causes unreasonable recursion", list->name);
        return restrict_broken(evaluation);
    }
    bool outer_warns = evaluation->warn_only;
    evaluation->depth++;
    evaluation->list = list;
    if (list->count > 0)
        trace_emit(TRACE_LIST, 0, list->name, "");
    const unsigned *flags = &evaluation->session->flags; /* of a discarded message nothing more is asked */
    for (evaluation->at = 0; evaluation->at < list->count && verdict == VERDICT_DUNNO && (*flags & SESSION_DISCARD) == 0;
         evaluation->at++) {
        const char *word = list->words[evaluation->at];
        verdict = run_traced(evaluation, word);
        if (text_equal_nocase(word, "warn_if_reject"))
            continue;
        evaluation->warn_only = outer_warns;
        if (evaluation->defer_if_permit != NULL && evaluation->defer_if_reject != NULL)
            break; /* whatever comes, it is "later" */
    }
    evaluation->depth--;
    evaluation->warn_only = outer_warns;
    evaluation->list = outer;
    evaluation->at = outer_at;
    return verdict;
}

enum verdict restrict_evaluate(struct evaluation *evaluation, enum restrict_stage stage)
{
    bool is_second = (stage == STAGE_RELAY || stage == STAGE_RECIPIENT) &&
                     (evaluation->stage == STAGE_RELAY || evaluation->stage == STAGE_RECIPIENT);
    evaluation->stage = evaluation->subject = stage;
    evaluation->depth = 0;
    evaluation->warn_only = false;
    if (!is_second) /* counts within its own list, but the two about a recipient are one */
        evaluation->defer_if_reject = NULL;
    return restrict_evaluate_words(evaluation, &smtpd.lists[stage]);
}
