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

/*
 * The recipients of one message have the same client, HELO name and sender: a table that is a file is asked about those
 * once a transaction. Failures are not kept; servers and databases are asked each time, as they may count or change.
 */
struct access_memory {
    const char *table, *key;
    enum table_key_kind kind;
    struct table_answer answer;
    struct access_memory *next;
};

#define MAX_REMEMBERED 100 /* answers of one transaction */

static bool is_file(const char *table)
{
    static const char *const types[] = {"hash", "btree", "lmdb", "cdb", "texthash", "inline", "static", "regexp", "pcre", "cidr"};
    size_t len = strcspn(table, ":");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (slice_equal(slice_range(table, len), slice_of(types[i])))
            return true;
    return false;
}

static bool is_worth_remembering(const struct evaluation *evaluation, const char *table, enum restrict_stage subject)
{
    return is_file(table) && evaluation->session->arena != NULL && evaluation->session->sender != NULL && subject != STAGE_RECIPIENT &&
           subject != STAGE_RELAY && subject != STAGE_ETRN;
}

static const struct access_memory *recall(struct smtp_session *session, const char *table, enum table_key_kind kind,
                                          const char *key, unsigned *count)
{
    const struct access_memory *memory = smtpd_transaction(session)->access_memory;
    for (*count = 0; memory != NULL; memory = memory->next, ++*count)
        if (memory->kind == kind && strcmp(memory->table, table) == 0 && strcmp(memory->key, key) == 0)
            return memory;
    return NULL;
}

static void remember(struct smtp_session *session, const char *table, enum table_key_kind kind, const char *key,
                     const struct table_answer *answer)
{
    struct smtpd_transaction *transaction = smtpd_transaction(session);
    struct access_memory *memory = arena_alloc(session->arena, sizeof *memory);
    *memory = (struct access_memory){arena_strdup(session->arena, table), arena_strdup(session->arena, key), kind, *answer,
                                     transaction->access_memory};
    memory->answer.value = arena_strdup(session->arena, answer->value != NULL ? answer->value : "");
    memory->answer.table = arena_strdup(session->arena, answer->table != NULL ? answer->table : "");
    transaction->access_memory = memory;
}

/* As lookup_find(), but not twice about the same. */
static bool find(struct evaluation *evaluation, const char *table, enum table_key_kind kind, const char *parameter,
                 const char *key, enum restrict_stage subject, struct table_answer *answer)
{
    struct smtp_session *session = evaluation->session;
    bool is_kept = is_worth_remembering(evaluation, table, subject);
    unsigned count = 0;
    const struct access_memory *memory = is_kept ? recall(session, table, kind, key, &count) : NULL;
    if (memory != NULL) {
        *answer = memory->answer;
        return true;
    }
    if (!lookup_find(table, kind, parameter, key, session->scratch, answer))
        return false;
    if (is_kept && count < MAX_REMEMBERED && answer->status != TABLE_ERROR)
        remember(session, table, kind, key, answer);
    return true;
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
    bool answered = find(evaluation, table, kind, parameters[subject], key, subject, &answer);
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
