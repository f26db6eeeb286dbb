/* SPDX-License-Identifier: ISC */
/* restrict_access: the check_*_access restrictions: which keys are looked up for whom, as access(5) says. */
#include "common/access/access_memory.h"
#include "common/base/log.h"
#include "common/mail/rfc822_tokens.h"
#include "common/access/restrict.h"

const char *restrict_access_key(struct evaluation *evaluation, const char *key, enum restrict_stage subject)
{
    const struct address_answer *answer = NULL;
    if (subject == STAGE_SENDER && evaluation->sender != NULL && strcmp(key, evaluation->sender) == 0 && *key != '\0')
        answer = restrict_sender_answer(evaluation);
    else if ((subject == STAGE_RECIPIENT || subject == STAGE_RELAY) && evaluation->recipient != NULL &&
             strcmp(key, evaluation->recipient) == 0)
        answer = restrict_recipient_answer(evaluation);
    if (answer == NULL)
        return key;
    char *folded = arena_strdup(evaluation->session->scratch, answer->address);
    text_lowercase(folded);
    return folded;
}

/* An address is looked up with its quotes first. */
static void warn_failed(const struct evaluation *evaluation, const char *table, enum table_key_kind kind, const char *key)
{
    struct str quoted = STR_EMPTY;
    if (kind == KEY_ADDRESS_ACCESS) {
        address_quote_local(slice_of(key), &quoted);
        key = arena_slice(evaluation->session->scratch, str_slice(&quoted));
    }
    str_free(&quoted);
    log_warning("%s lookup error for \"%.100s\"", table, key);
}

bool restrict_access_try(struct evaluation *evaluation, const char *table, enum table_key_kind kind, const char *key,
                         enum restrict_stage subject, enum verdict *verdict)
{
    struct table_answer answer;
    bool answered = access_memory_find(evaluation, table, kind, key, subject, &answer);
    if (answered && answer.status == TABLE_ERROR) /* lookup logged why */
        warn_failed(evaluation, table, kind, restrict_access_key(evaluation, key, subject));
    if (!answered || answer.status == TABLE_ERROR)
        answer = (struct table_answer){.status = TABLE_FOUND, .value = (char *)"451 4.3.5 Server configuration error"};
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

/* A recipient that hides a route may be refused by a table, but not let through: the table spoke of another address. */
static enum verdict look_up_recipient(struct evaluation *evaluation, const char *table)
{
    enum verdict verdict = VERDICT_DUNNO;
    if (evaluation->recipient == NULL ||
        !restrict_access_try(evaluation, table, KEY_ADDRESS_ACCESS, evaluation->recipient, STAGE_RECIPIENT, &verdict) ||
        verdict != VERDICT_PERMIT || smtpd.trusts_routing)
        return verdict;
    const struct address_answer *answer = restrict_recipient_answer(evaluation);
    return answer == NULL ? VERDICT_REJECT : answer->routed ? VERDICT_DUNNO : VERDICT_PERMIT;
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
        return look_up_recipient(evaluation, table);
    case STAGE_ETRN:
        return look_up(evaluation, table, KEY_DOMAIN, evaluation->etrn_domain, subject);
    default:
        return look_up_client(evaluation, table);
    }
}

const char *restrict_table_argument(struct evaluation *evaluation, const char *name)
{
    const char *table = restrict_argument(evaluation);
    if (table != NULL && strchr(table, ':') != NULL)
        return table;
    log_warning("restriction %s: bad argument \"%s\": need maptype:mapname", name, table != NULL ? table : name);
    return NULL;
}

static enum verdict check_access(struct evaluation *evaluation, const char *name, enum restrict_stage subject)
{
    const char *table = restrict_table_argument(evaluation, name);
    return table != NULL ? restrict_access_lookup(evaluation, table, subject) : restrict_broken(evaluation);
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
    const char *table = restrict_table_argument(evaluation, name);
    const char *login = evaluation->session->sasl_username;
    if (table == NULL)
        return restrict_broken(evaluation);
    if (!smtpd.server.auth_enabled)
        log_warning("restriction `%s' ignored: no SASL support", name);
    else if (login != NULL && *login != '\0')
        restrict_access_try(evaluation, table, KEY_EXACT, login, SUBJECT_SASL_LOGIN, &verdict);
    return verdict;
}

enum verdict restrict_check_etrn_access(struct evaluation *evaluation, const char *name)
{
    return check_access(evaluation, name, STAGE_ETRN);
}
