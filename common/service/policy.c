/* SPDX-License-Identifier: ISC */
/*
 * policy: port 25's answers to the SMTP library: which lists run at which command. Called on the session's fiber;
 * waits for lookup and queue. When one of them does not answer, the client gets a 4xx.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/access/policy_service.h"
#include "common/access/owner.h"
#include "common/access/restrict.h"
#include "common/access/verify_client.h"
#include "common/access/spf.h"
#include "common/access/trace.h"
#include "common/service/limits.h"
#include "common/service/login_limit.h"
#include "common/service/cleanup.h"
#include "common/service/proxy_filter.h"
#include "common/service/service.h"
#include "common/service/transcript.h"
#include "common/tls/server.h"

static struct smtpd_client *client_of(const struct smtp_session *session)
{
    return session->owner;
}

struct smtpd_transaction *smtpd_transaction(struct smtp_session *session)
{
    if (session->transaction == NULL)
        session->transaction = arena_alloc(session->arena, sizeof(struct smtpd_transaction));
    return session->transaction;
}

static struct evaluation evaluation_of(struct smtp_session *session, const char *where)
{
    return (struct evaluation){.session = session, .where = where, .sender = session->sender};
}

/* With smtpd_delay_reject = no, what an early list puts off is decided at RCPT. */
static const char *keep_deferral(struct smtp_session *session, struct evaluation *evaluation, enum restrict_stage stage)
{
    char **slot = &client_of(session)->deferred[stage];
    free(*slot);
    *slot = evaluation->defer_if_permit != NULL ? mem_strdup(evaluation->defer_if_permit) : NULL;
    return evaluation->reply;
}

static void take_deferral(struct smtp_session *session, struct evaluation *evaluation, enum restrict_stage last)
{
    for (unsigned i = 0; !smtpd.server.delay_reject && i <= last && evaluation->defer_if_permit == NULL; i++)
        evaluation->defer_if_permit = client_of(session)->deferred[i];
}

static const char *check_early(struct smtp_session *session, struct evaluation *evaluation, enum restrict_stage stage)
{
    if (restrict_evaluate(evaluation, stage) == VERDICT_REJECT)
        return evaluation->reply;
    return keep_deferral(session, evaluation, stage);
}

/* --- connection -------------------------------------------------------------------------------------- */

static void find_ehlo_mask(struct smtp_session *session)
{
    struct table_answer answer;
    if (*smtpd.server.discard_ehlo_maps == '\0')
        return;
    if (lookup_find(smtpd.server.discard_ehlo_maps, KEY_EXACT, "smtpd_discard_ehlo_keyword_address_maps",
                    session->client_address, session->scratch, &answer) && answer.status == TABLE_FOUND)
        session->ehlo_mask = smtp_ehlo_mask(answer.value, NULL);
}

static bool find(struct smtp_session *session, const char *maps, const char *parameter, const char *key, const char **value,
                 bool *failed)
{
    struct table_answer answer;
    bool answered = lookup_find(maps, KEY_EXACT, parameter, key, session->scratch, &answer);
    *failed = !answered || answer.status == TABLE_ERROR;
    if (*failed)
        log_warning("%s lookup error for \"%.100s\"", answered && *answer.table != '\0' ? answer.table : maps, key);
    *value = answered && answer.status == TABLE_FOUND ? answer.value : NULL;
    return *value != NULL;
}

static const char *on_connect(struct smtp_session *session)
{
    struct smtpd_client *client = client_of(session);
    struct evaluation evaluation = evaluation_of(session, session->where);
    const char *name = session->client_name, *address = session->client_address;
    policy_trace_begin(session);
    client->is_mynetworks = client_list_find(&smtpd.mynetworks, name, address, session->scratch) == CLIENT_LIST_YES;
    session->reverse_name = client->reverse_name;
    session->flags &= ~(unsigned)(SESSION_MAY_XCLIENT | SESSION_BARE_NEWLINE_OK | SESSION_HIDE_AUTH);
    if (client_list_find(&smtpd.xclient_hosts, name, address, session->scratch) == CLIENT_LIST_YES)
        session->flags |= SESSION_MAY_XCLIENT;
    if (!client->is_known && client_list_find(&smtpd.xforward_hosts, name, address, session->scratch) == CLIENT_LIST_YES)
        session->flags |= SESSION_MAY_XFORWARD; /* XCLIENT changes nothing about it */
    client->is_known = true;
    client->is_own = client_list_find(&smtpd.own_addresses, name, address, session->scratch) == CLIENT_LIST_YES;
    if (!smtpd.server.forbid_bare_newline ||
        client_list_find(&smtpd.bare_newline_exclusions, name, address, session->scratch) == CLIENT_LIST_YES)
        session->flags |= SESSION_BARE_NEWLINE_OK;
    const char *refusal = limits_connect(session);
    if (refusal != NULL)
        return refusal;
    find_ehlo_mask(session);
    if (smtpd.server.auth_enabled && auth_client_is_exception(session))
        session->flags |= SESSION_HIDE_AUTH;
    return smtpd.server.delay_reject ? NULL : check_early(session, &evaluation, STAGE_CLIENT);
}

/* XCLIENT: names as if DNS had said so. */
static void on_xclient(struct smtp_session *session, const struct smtp_client_name *names)
{
    static const uint8_t statuses[] = {[SMTP_NAME_OK] = PEERNAME_OK, [SMTP_NAME_TEMPORARY] = PEERNAME_TEMPORARY,
                                       [SMTP_NAME_NONE] = PEERNAME_NONE};
    struct smtpd_client *client = client_of(session);
    limits_disconnect(client);
    if (names->name != NULL) {
        free(client->name);
        client->name = mem_strdup(names->name);
        client->name_status = statuses[names->name_status];
    }
    if (names->reverse_name != NULL) {
        free(client->reverse_name);
        client->reverse_name = mem_strdup(names->reverse_name);
        client->reverse_status = statuses[names->reverse_status];
    }
    for (unsigned i = 0; i <= STAGE_SENDER; i++) {
        free(client->deferred[i]);
        client->deferred[i] = NULL;
    }
}

static void on_disconnect(struct smtp_session *session)
{
    tls_server_finish(&session->stream, smtp_session_deadline(session));
    policy_trace_end();
    limits_disconnect(client_of(session));
    for (unsigned i = 0; i <= STAGE_SENDER; i++)
        free(client_of(session)->deferred[i]);
}

/* --- HELO, MAIL, RCPT ---------------------------------------------------------------------------------- */

static const char *on_helo(struct smtp_session *session, const char *name UNUSED)
{
    struct evaluation evaluation = evaluation_of(session, (session->where));
    evaluation.recipient = smtp_session_first_recipient(session);
    take_deferral(session, &evaluation, STAGE_CLIENT);
    return check_early(session, &evaluation, STAGE_HELO);
}

/* What a setting implies, as if it stood at the end of a list. */
static bool passes_implied(struct evaluation *evaluation, const char *setting, restrict_run *run, const char *restriction)
{
    struct trace *trace = trace_current();
    trace_emit(TRACE_LIST, 0, setting, "");
    trace_emit(TRACE_WORD, 0, setting, restriction);
    if (trace != NULL)
        trace->depth++;
    enum verdict verdict = run(evaluation, "");
    if (trace != NULL)
        trace->depth--;
    trace_emit(TRACE_VERDICT, 0, verdict != VERDICT_REJECT ? "dunno" : evaluation->reply[0] == '4' ? "defer" : "reject",
               verdict == VERDICT_REJECT ? evaluation->reply : "");
    return verdict != VERDICT_REJECT;
}

static bool is_discarded(const struct evaluation *evaluation)
{
    return (evaluation->session->flags & SESSION_DISCARD) != 0;
}

static bool check_sender(struct evaluation *evaluation)
{
    if (restrict_evaluate(evaluation, STAGE_SENDER) == VERDICT_REJECT)
        return false;
    return !smtpd.reject_unlisted_sender || evaluation->sender_checked || is_discarded(evaluation) ||
           passes_implied(evaluation, "smtpd_reject_unlisted_sender", restrict_unlisted_sender, "reject_unlisted_sender");
}

static const char *on_mail(struct smtp_session *session, const char *address)
{
    struct evaluation evaluation = evaluation_of(session, "MAIL");
    evaluation.sender = address;
    take_deferral(session, &evaluation, STAGE_HELO);
    if (!check_sender(&evaluation))
        return evaluation.reply;
    return keep_deferral(session, &evaluation, STAGE_SENDER);
}

static bool check_delayed(struct evaluation *evaluation)
{
    struct smtp_session *session = evaluation->session;
    if (!smtpd.server.delay_reject) {
        take_deferral(session, evaluation, STAGE_SENDER);
        return true;
    }
    if (restrict_evaluate(evaluation, STAGE_CLIENT) == VERDICT_REJECT)
        return false;
    if (session->helo_name != NULL && restrict_evaluate(evaluation, STAGE_HELO) == VERDICT_REJECT)
        return false;
    return evaluation->sender == NULL || check_sender(evaluation);
}

static bool check_recipient_lists(struct evaluation *evaluation)
{
    const enum restrict_stage order[2] = {smtpd.relay_first ? STAGE_RELAY : STAGE_RECIPIENT,
                                          smtpd.relay_first ? STAGE_RECIPIENT : STAGE_RELAY};
    for (unsigned i = 0; i < 2; i++)
        if (restrict_evaluate(evaluation, order[i]) == VERDICT_REJECT)
            return false;
    return true;
}

static bool check_listed(struct evaluation *evaluation)
{
    return !smtpd.reject_unlisted_recipient || evaluation->recipient_checked || is_discarded(evaluation) ||
           passes_implied(evaluation, "smtpd_reject_unlisted_recipient", restrict_unlisted_recipient,
                          "reject_unlisted_recipient");
}

/* Everything permitted, but something could not be told earlier: now it counts. */
static bool check_deferral(struct evaluation *evaluation)
{
    if (evaluation->defer_if_permit == NULL)
        return true;
    evaluation->reply = evaluation->defer_if_permit;
    restrict_log(evaluation, "reject", evaluation->reply);
    return false;
}

/* RFC 5321 4.5.1: there is always a postmaster. And whom we probe may probe our probes' sender: mail for it is discarded. */
static bool is_always_accepted(const struct evaluation *evaluation, const char *address)
{
    return text_equal_nocase(address, "postmaster") ||
           (strcmp(evaluation->where, "RCPT") == 0 && verify_is_probe_sender(address));
}

static bool check_rcpt(struct evaluation *evaluation)
{
    if (is_always_accepted(evaluation, evaluation->recipient))
        return true;
    return check_delayed(evaluation) && check_recipient_lists(evaluation) && check_deferral(evaluation) &&
           check_listed(evaluation);
}

static const char *expand(struct evaluation *evaluation, struct smtp_expansion *expansion)
{
    struct smtp_session *session = evaluation->session;
    const struct address_answer *answer = restrict_recipient_answer(evaluation);
    if (answer == NULL)
        return evaluation->reply;
    if (answer->expansion_failed || answer->validity == ADDRESS_ERROR) {
        const char *reason = *answer->expansion_reason != '\0' ? answer->expansion_reason : "4.3.0 Temporary lookup error";
        char *reply = arena_printf(session->scratch, "451 %s%s", text_is_digit(*reason) ? "" : "4.3.0 ", reason);
        evaluation->fault = FAULT_DATA;
        restrict_log(evaluation, "reject", reply);
        return reply;
    }
    expansion->canonical = answer->canonical;
    expansion->copies = answer->copies;
    expansion->copy_count = answer->copy_count;
    expansion->addresses = answer->expanded;
    expansion->count = answer->expanded_count;
    if (expansion->count == 0) { /* an answer without addresses would lose the message */
        expansion->addresses = arena_alloc(session->scratch, sizeof(char *));
        expansion->addresses[0] = answer->address;
        expansion->count = 1;
    }
    return NULL;
}

static const char *on_rcpt(struct smtp_session *session, const char *address, struct smtp_expansion *expansion)
{
    struct evaluation evaluation = evaluation_of(session, "RCPT");
    evaluation.recipient = address;
    if (!check_rcpt(&evaluation) ||
        (spf_mode() != SPF_OFF && !passes_implied(&evaluation, "smtpd_spf_check", restrict_spf, "smtpd_spf_check")))
        return evaluation.reply;
    return login_limit_take(&evaluation) ? expand(&evaluation, expansion) : evaluation.reply;
}

static const char *on_vrfy(struct smtp_session *session, const char *address)
{
    struct evaluation evaluation = evaluation_of(session, "VRFY");
    evaluation.recipient = address;
    return check_rcpt(&evaluation) ? NULL : evaluation.reply;
}

/* --- DATA and after ---------------------------------------------------------------------------------------- */

static const char *check_message(struct smtp_session *session, const char *where, enum restrict_stage stage)
{
    struct evaluation evaluation = evaluation_of(session, where);
    evaluation.recipient = session->only_recipient;
    if (restrict_evaluate(&evaluation, stage) == VERDICT_REJECT)
        return evaluation.reply;
    return check_deferral(&evaluation) ? NULL : evaluation.reply;
}

static const char *on_data(struct smtp_session *session)
{
    return check_message(session, session->where, STAGE_DATA);
}

static const char *on_end_of_data(struct smtp_session *session)
{
    const char *refusal = from_login_check(session);
    if (refusal != NULL)
        return refusal;
    return check_message(session, "END-OF-MESSAGE", STAGE_END_OF_DATA);
}

static const char *on_etrn(struct smtp_session *session, const char *domain)
{
    struct evaluation evaluation = evaluation_of(session, "ETRN");
    evaluation.etrn_domain = domain;
    take_deferral(session, &evaluation, STAGE_HELO);
    if (smtpd.server.delay_reject && (restrict_evaluate(&evaluation, STAGE_CLIENT) == VERDICT_REJECT ||
        (session->helo_name != NULL && restrict_evaluate(&evaluation, STAGE_HELO) == VERDICT_REJECT)))
        return evaluation.reply;
    if (restrict_evaluate(&evaluation, STAGE_ETRN) == VERDICT_REJECT)
        return evaluation.reply;
    return check_deferral(&evaluation) ? NULL : evaluation.reply;
}

static void on_reset(struct smtp_session *session)
{
    struct smtpd_client *client = client_of(session);
    proxy_filter_close(session);
    free(client->deferred[STAGE_SENDER]);
    client->deferred[STAGE_SENDER] = NULL;
    if (client->holds_policy)
        policy_pool_release(session);
    client->holds_policy = false;
}

/* Access tables, content checks and automatic copies change who gets the message. */
static enum submit_status submit(struct smtp_session *session, struct submission *submission)
{
    if (!cleanup_add_copies(session, &submission->envelope)) {
        if (submission->in_file)
            queue_abandon(session);
        return SUBMIT_ERROR;
    }
    return queue_submit(session, submission);
}

static void auth_end(struct smtp_session *session UNUSED, enum sasl_status status, struct login_attempt *attempt)
{
    service_login_result(attempt, status == SASL_DONE ? LOGIN_OK : status == SASL_FAILED ? LOGIN_FAILED : LOGIN_UNKNOWN);
}

const struct smtp_server_policy service_policy = {
    .on_connect = on_connect,
    .on_xclient = on_xclient,
    .on_helo = on_helo,
    .on_mail = on_mail,
    .on_rcpt = on_rcpt,
    .on_data = on_data,
    .on_headers = from_login_note,
    .on_end_of_data = on_end_of_data,
    .on_vrfy = on_vrfy,
    .on_etrn = on_etrn,
    .find = find,
    .auth_mechanisms = auth_client_mechanisms,
    .auth_attempt = service_login_attempt,
    .auth_start = auth_client_start,
    .auth_continue = auth_client_continue,
    .auth_cancel = auth_client_cancel,
    .auth_end = auth_end,
    .on_event = limits_event,
    .forged_results_id = spf_forged_id,
    .completes_headers = cleanup_completes_headers,
    .begin_content = cleanup_begin_content,
    .check_content = cleanup_check_content,
    .end_checks = cleanup_end_checks,
    .prepare_headers = cleanup_prepare_headers,
    .notify = service_notify,
    .on_reset = on_reset,
    .on_disconnect = on_disconnect,
    .filter_open = proxy_filter_open,
    .filter_command = proxy_filter_command,
    .filter_pass = proxy_filter_pass,
    .filter_finish = proxy_filter_finish,
    .filter_reply = proxy_filter_reply,
    .before_tls = service_before_tls,
    .start_tls = service_start_tls,
    .after_tls = service_after_tls,
    .begin_message = queue_begin_message,
    .open_spool = queue_open_spool,
    .submit = submit,
    .abandon = queue_abandon,
};
