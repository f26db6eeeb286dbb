/* SPDX-License-Identifier: ISC */
/* restrict_access: the check_*_access restrictions: which keys are looked up for whom, as access(5) says. */
#include "common/base/log.h"
#include "common/access/restrict.h"

static enum verdict table_failed(struct evaluation *evaluation, enum restrict_stage subject)
{
    evaluation->is_broken = true;
    enum verdict verdict = restrict_reject(evaluation, 451, "4.3.5", "<%s>: %s rejected: Server configuration error",
                                           restrict_subject(evaluation, subject), restrict_class(subject));
    evaluation->is_broken = false;
    return verdict;
}

bool restrict_access_try(struct evaluation *evaluation, const char *table, enum table_key_kind kind, const char *key,
                         enum restrict_stage subject, enum verdict *verdict)
{
    static const char *const parameters[SUBJECT_COUNT] = {"check_client_access", "check_helo_access", "check_sender_access",
                                                        "check_recipient_access", "check_recipient_access",
                                                        "check_client_access", "check_client_access", "check_etrn_access",
                                                          "check_reverse_client_hostname_access", "check_sasl_access",
                                                          "check_ccert_access"};
    struct table_answer answer;
    bool answered = lookup_find(table, kind, parameters[subject], key, evaluation->session->scratch, &answer);
    if (answered && answer.status == TABLE_ERROR) /* lookup logged why */
        log_warning("%s lookup error for \"%s\"", table, key);
    if (!answered || answer.status == TABLE_ERROR) {
        *verdict = table_failed(evaluation, subject);
        return true;
    }
    if (answer.status == TABLE_NOT_FOUND)
        return false;
    *verdict = restrict_access_action(evaluation, table, answer.value, key, subject);
    return true;
}

static enum verdict look_up_client(struct evaluation *evaluation, const char *table)
{
    struct smtp_session *session = evaluation->session;
    enum verdict verdict = VERDICT_DUNNO;
    if (!restrict_access_try(evaluation, table, KEY_DOMAIN, session->client_name, STAGE_CLIENT, &verdict))
        restrict_access_try(evaluation, table, KEY_NETWORK, session->client_address, STAGE_CLIENT, &verdict);
    return verdict;
}

static enum verdict look_up(struct evaluation *evaluation, const char *table, enum table_key_kind kind, const char *key,
                            enum restrict_stage subject)
{
    enum verdict verdict = VERDICT_DUNNO;
    if (key != NULL)
        restrict_access_try(evaluation, table, kind, key, subject, &verdict);
    return verdict;
}

enum verdict restrict_access_lookup(struct evaluation *evaluation, const char *table, enum restrict_stage subject)
{
    switch (subject) {
    case STAGE_HELO:
        return look_up(evaluation, table, KEY_DOMAIN, evaluation->session->helo_name, subject);
    case STAGE_SENDER:
        if (evaluation->sender != NULL && *evaluation->sender == '\0')
            return look_up(evaluation, table, KEY_EXACT, smtpd.null_access_key, subject);
        return look_up(evaluation, table, KEY_ADDRESS_ACCESS, evaluation->sender, subject);
    case STAGE_RELAY:
    case STAGE_RECIPIENT:
        return look_up(evaluation, table, KEY_ADDRESS_ACCESS, evaluation->recipient, subject);
    case STAGE_ETRN:
        return look_up(evaluation, table, KEY_DOMAIN, evaluation->etrn_domain, subject);
    default:
        return look_up_client(evaluation, table);
    }
}

static enum verdict check_access(struct evaluation *evaluation, const char *name, enum restrict_stage subject)
{
    const char *table = restrict_argument(evaluation);
    if (table == NULL || strchr(table, ':') == NULL) {
        log_warning("restriction %s: bad argument \"%s\": need maptype:mapname", name, table != NULL ? table : "");
        return restrict_broken(evaluation);
    }
    return restrict_access_lookup(evaluation, table, subject);
}

enum verdict restrict_check_client_access(struct evaluation *evaluation, const char *name)
{
    return check_access(evaluation, name, STAGE_CLIENT);
}

enum verdict restrict_check_helo_access(struct evaluation *evaluation, const char *name)
{
    return check_access(evaluation, name, STAGE_HELO);
}

enum verdict restrict_check_sender_access(struct evaluation *evaluation, const char *name)
{
    return check_access(evaluation, name, STAGE_SENDER);
}

enum verdict restrict_check_recipient_access(struct evaluation *evaluation, const char *name)
{
    return check_access(evaluation, name, STAGE_RECIPIENT);
}

/* Nobody logged in is nobody to look up. */
enum verdict restrict_check_sasl_access(struct evaluation *evaluation, const char *name)
{
    enum verdict verdict = VERDICT_DUNNO;
    const char *table = restrict_argument(evaluation);
    const char *login = evaluation->session->sasl_username;
    if (table == NULL || strchr(table, ':') == NULL) {
        log_warning("restriction %s: bad argument \"%s\": need maptype:mapname", name, table != NULL ? table : "");
        return restrict_broken(evaluation);
    }
    if (!smtpd.server.auth_enabled && login == NULL)
        log_warning("restriction `%s' ignored: no SASL support", name);
    else if (login != NULL && *login != '\0')
        restrict_access_try(evaluation, table, KEY_EXACT, login, SUBJECT_SASL_LOGIN, &verdict);
    return verdict;
}

enum verdict restrict_check_etrn_access(struct evaluation *evaluation, const char *name)
{
    return check_access(evaluation, name, STAGE_ETRN);
}
