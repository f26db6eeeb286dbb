/* SPDX-License-Identifier: ISC */
/*
 * access_memory: what access tables said. A list with several tables asks about all of them that are files in one round trip,
 * when the first is reached: an answer that is not needed then costs less than a question of its own would. The recipients of
 * one message have the same client, HELO name and sender, so answers about those live as long as the transaction. Failures are
 * not kept: who reaches such a table asks again, and says so.
 */
#include "common/access/access_memory.h"

#include <string.h>

#include "common/access/trace.h"

#define MAX_REMEMBERED 100 /* answers of one transaction */
#define MAX_TOGETHER 40    /* questions of one round trip */

struct access_memory {
    const char *table, *key;
    enum table_key_kind kind;
    struct table_answer answer;
    struct access_memory *next;
};

static const char *parameter_of(enum restrict_stage subject)
{
    static const char *const parameters[SUBJECT_COUNT] = {
        "check_client_access", "check_helo_access", "check_sender_access", "check_recipient_access", "check_recipient_access",
        "check_client_access", "check_client_access", "check_etrn_access", "check_reverse_client_hostname_access",
        "check_sasl_access", "check_ccert_access"};
    return parameters[subject];
}

static bool is_file(const char *table)
{
    static const char *const types[] = {"hash", "btree", "lmdb", "cdb", "texthash", "inline", "static", "regexp", "pcre", "cidr"};
    size_t len = strcspn(table, ":");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (slice_equal(slice_range(table, len), slice_of(types[i])))
            return true;
    return false;
}

/* --- remembering -------------------------------------------------------------------- */

/* About a recipient an answer is good for this command, about others for the transaction, once there is one. */
static bool is_lasting(const struct evaluation *evaluation, enum restrict_stage subject)
{
    return evaluation->session->arena != NULL && evaluation->session->sender != NULL && subject != STAGE_RECIPIENT &&
           subject != STAGE_RELAY && subject != STAGE_ETRN;
}

static struct access_memory **memory_of(struct evaluation *evaluation, bool is_lasting)
{
    return is_lasting ? &smtpd_transaction(evaluation->session)->access_memory : &evaluation->access_memory;
}

static const struct access_memory *recall(struct access_memory *memory, const char *table, enum table_key_kind kind,
                                          const char *key, unsigned *count)
{
    for (*count = 0; memory != NULL; memory = memory->next, ++*count)
        if (memory->kind == kind && strcmp(memory->table, table) == 0 && strcmp(memory->key, key) == 0)
            return memory;
    return NULL;
}

static void remember(struct evaluation *evaluation, bool lasts, const struct table_question *question,
                     const struct table_answer *answer)
{
    struct arena *arena = lasts ? evaluation->session->arena : evaluation->session->scratch;
    struct access_memory **memory = memory_of(evaluation, lasts), *entry = arena_alloc(arena, sizeof *entry);
    *entry = (struct access_memory){arena_strdup(arena, question->maps), arena_strdup(arena, question->key),
                                    (enum table_key_kind)question->kind, *answer, *memory};
    entry->answer.value = arena_strdup(arena, answer->value != NULL ? answer->value : "");
    entry->answer.table = arena_strdup(arena, answer->table != NULL ? answer->table : "");
    *memory = entry;
}

/* --- asking together ------------------------------------------------------------------ */

struct batch {
    struct evaluation *evaluation;
    struct table_question questions[MAX_TOGETHER];
    bool lasts[MAX_TOGETHER];
    size_t count;
};

static void add(struct batch *batch, const char *table, enum table_key_kind kind, const char *key, enum restrict_stage subject)
{
    bool lasts = is_lasting(batch->evaluation, subject);
    unsigned known;
    if (key == NULL || *key == '\0' || batch->count == MAX_TOGETHER ||
        recall(*memory_of(batch->evaluation, lasts), table, kind, key, &known) != NULL || known >= MAX_REMEMBERED)
        return;
    batch->questions[batch->count] = (struct table_question){(char *)(uintptr_t)table, (uint8_t)kind,
                                                             (char *)(uintptr_t)parameter_of(subject), (char *)(uintptr_t)key};
    batch->lasts[batch->count++] = lasts;
}

/* What this restriction is going to ask its table: see restrict_access_lookup(). */
static void add_check(struct batch *batch, restrict_run *run, const char *table)
{
    const struct evaluation *evaluation = batch->evaluation;
    const char *sender = evaluation->sender;
    if (run == restrict_check_client_access) {
        add(batch, table, KEY_DOMAIN, evaluation->session->client_name, STAGE_CLIENT);
        add(batch, table, KEY_NETWORK, evaluation->session->client_address, STAGE_CLIENT);
    } else if (run == restrict_check_helo_access)
        add(batch, table, KEY_DOMAIN, evaluation->session->helo_name, STAGE_HELO);
    else if (run == restrict_check_sender_access && sender != NULL)
        add(batch, table, *sender == '\0' ? KEY_EXACT : KEY_ADDRESS_ACCESS, *sender == '\0' ? smtpd.null_access_key : sender, STAGE_SENDER);
    else if (run == restrict_check_recipient_access)
        add(batch, table, KEY_ADDRESS_ACCESS, evaluation->recipient, STAGE_RECIPIENT);
}

static void add_rest_of_list(struct batch *batch)
{
    const struct restrict_list *list = batch->evaluation->list;
    for (size_t i = batch->evaluation->at + 1; i + 1 < list->count; i++) {
        const struct restriction *restriction = restrict_at(list, i);
        if (restriction != NULL && restriction->takes_argument && is_file(list->words[++i]))
            add_check(batch, restriction->run, list->words[i]);
    }
}

/* The question itself, with those that stand behind it. False: they could not be asked. */
static bool ask_together(struct evaluation *evaluation, const char *table, enum table_key_kind kind, const char *key,
                         enum restrict_stage subject)
{
    struct batch *batch = arena_alloc(evaluation->session->scratch, sizeof *batch);
    batch->evaluation = evaluation;
    add(batch, table, kind, key, subject);
    if (subject == STAGE_CLIENT && kind == KEY_DOMAIN)
        add(batch, table, KEY_NETWORK, evaluation->session->client_address, subject);
    add_rest_of_list(batch);
    if (batch->count < 2)
        return false;
    struct table_answer *answers = arena_alloc_array(evaluation->session->scratch, batch->count, sizeof *answers);
    if (!lookup_find_many(batch->questions, batch->count, evaluation->session->scratch, answers))
        return false;
    for (size_t i = 0; i < batch->count; i++)
        if (answers[i].status != TABLE_ERROR)
            remember(evaluation, batch->lasts[i], &batch->questions[i], &answers[i]);
    return true;
}

bool access_memory_find(struct evaluation *evaluation, const char *table, enum table_key_kind kind, const char *key,
                        enum restrict_stage subject, struct table_answer *answer)
{
    bool lasts = is_lasting(evaluation, subject), is_kept = is_file(table) && trace_current() == NULL;
    struct arena *scratch = evaluation->session->scratch;
    unsigned count = 0;
    const struct access_memory *memory = is_kept ? recall(*memory_of(evaluation, lasts), table, kind, key, &count) : NULL;
    if (memory == NULL && is_kept && ask_together(evaluation, table, kind, key, subject))
        memory = recall(*memory_of(evaluation, lasts), table, kind, key, &count);
    if (memory != NULL) {
        *answer = memory->answer;
        return true;
    }
    if (!lookup_find(table, kind, parameter_of(subject), key, scratch, answer))
        return false;
    if (is_kept && count < MAX_REMEMBERED && answer->status != TABLE_ERROR) {
        const struct table_question asked = {(char *)(uintptr_t)table, (uint8_t)kind, (char *)"", (char *)(uintptr_t)key};
        remember(evaluation, lasts, &asked, answer);
    }
    return true;
}
