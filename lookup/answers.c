/* SPDX-License-Identifier: ISC */
/*
 * answers: FIND, ADDRESS and ROUTE. Table lists are opened once and kept, by their text. A table that the
 * configuration does not name is not opened: the answer is an error and the log says who asked.
 */
#include <stdlib.h>
#include <uthash.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "lookup/lookup.h"

#define QUESTION_DEADLINE 60 /* seconds; the asker gives up about then, too */
#define MAX_KEPT_LISTS 4096

struct kept_maps {
    char *text;
    struct maps *maps;
    UT_hash_handle hh;
};

static struct kept_maps *kept;
static struct resolver *resolver;
static struct resolver *probe_resolver; /* for address probes: the same one unless address_verify_* says otherwise */
static const struct config *main_config;

/* --- tables ----------------------------------------------------------------------------- */

static bool all_known(const char *text, struct arena *arena)
{
    char **specs;
    size_t count = config_split_list(text, arena, &specs);
    for (size_t i = 0; i < count; i++) {
        if (known_tables_has(specs[i]))
            continue;
        log_warning("table %s is in neither main.cf nor master.cf: not opened", specs[i]);
        return false;
    }
    return true;
}

/* NULL: not allowed. */
struct maps *answers_maps(const char *text, const char *parameter, struct arena *arena)
{
    struct kept_maps *entry;
    HASH_FIND_STR(kept, text, entry);
    if (entry != NULL)
        return entry->maps;
    if (HASH_COUNT(kept) >= MAX_KEPT_LISTS || !all_known(text, arena))
        return NULL;
    entry = mem_alloc(sizeof *entry);
    entry->text = mem_strdup(text);
    entry->maps = maps_open(parameter, text, main_config, TABLE_FOLD_KEY);
    HASH_ADD_KEYPTR(hh, kept, entry->text, strlen(entry->text), entry);
    return entry->maps;
}

void answers_open(const struct config *config)
{
    main_config = config;
    resolver = resolver_new(config);
    const struct config *own = probe_config(config);
    probe_resolver = own != config ? resolver_new(own) : resolver;
    profiles_open(config);
}

struct resolver *answers_resolver(void)
{
    return resolver;
}

/* --- FIND ---------------------------------------------------------------------------------- */

static void find_one(struct question *question, const struct table_question *asked, struct str *reply)
{
    struct found found = {.value = STR_EMPTY, .table = ""};
    enum table_status status = TABLE_ERROR;
    struct maps *maps = answers_maps(asked->maps, asked->parameter, question->arena);
    if (maps != NULL)
        status = resolve_find_kind(resolver, maps, (enum table_key_kind)asked->kind, asked->key, question->arena,
                                   deadline_in_s(QUESTION_DEADLINE), &found);
    struct table_answer answer = {
        .status = (uint8_t)status,
        .value = (char *)(uintptr_t)str_text(&found.value),
        .table = (char *)(uintptr_t)found.table,
    };
    table_answer_encode(&answer, reply);
    str_free(&found.value);
}

static void find_now(struct question *question)
{
    struct table_question asked;
    struct str reply = STR_EMPTY;
    if (!table_question_decode(str_slice(&question->body), question->arena, &asked)) {
        question_is_malformed(question);
        return;
    }
    find_one(question, &asked, &reply);
    question_reply(question, &reply, -1);
    str_free(&reply);
}

static void find_many_now(struct question *question)
{
    struct table_question *asked;
    struct str reply = STR_EMPTY;
    size_t count;
    if (!table_questions_decode(str_slice(&question->body), question->arena, &asked, &count)) {
        question_is_malformed(question);
        return;
    }
    for (size_t i = 0; i < count; i++)
        find_one(question, &asked[i], &reply);
    question_reply(question, &reply, -1);
    str_free(&reply);
}

/* Do these tables wait? Address searches may also ask mydestination; opening takes its time, too. */
static bool tables_may_wait(struct slice text)
{
    struct kept_maps *entry = NULL;
    if (text.len > 0)
        HASH_FIND(hh, kept, text.data, text.len, entry);
    return resolver_may_wait(resolver) || entry == NULL || maps_may_wait(entry->maps);
}

void answer_find(struct ipc_channel *channel, struct ipc_message *message)
{
    struct ipc_reader reader = ipc_reader_of(message->body);
    question_ask(channel, message, find_now, tables_may_wait(ipc_get_slice(&reader)));
}

void answer_find_many(struct ipc_channel *channel, struct ipc_message *message)
{
    struct ipc_reader reader = ipc_reader_of(message->body);
    bool may_wait = false;
    for (uint32_t count = ipc_get_u32(&reader); count > 0 && !reader.failed && !may_wait; count--) {
        may_wait = tables_may_wait(ipc_get_slice(&reader));
        (void)ipc_get_u8(&reader);
        (void)ipc_get_slice(&reader);
        (void)ipc_get_slice(&reader);
    }
    question_ask(channel, message, find_many_now, may_wait);
}

/* --- ADDRESS -------------------------------------------------------------------------------- */

static void address_now(struct question *question)
{
    struct ipc_reader reader = ipc_reader_of(str_slice(&question->body));
    uint8_t flags = ipc_get_u8(&reader);
    const char *address = ipc_get_text(&reader, question->arena), *profile = ipc_get_text(&reader, question->arena);
    struct address_answer answer;
    struct str reply = STR_EMPTY;
    if (!ipc_reader_finish(&reader)) {
        question_is_malformed(question);
        return;
    }
    resolve_question_for(resolver, profile_resolver(profile), address, flags, question->arena,
                         deadline_in_s(QUESTION_DEADLINE), &answer);
    address_answer_encode(&answer, &reply);
    question_reply(question, &reply, -1);
    str_free(&reply);
}

void answer_address(struct ipc_channel *channel, struct ipc_message *message)
{
    question_ask(channel, message, address_now, profiles_may_wait());
}

/* --- ROUTE ----------------------------------------------------------------------------------- */

static void route_now(struct question *question)
{
    char *sender, **addresses;
    size_t count;
    struct str reply = STR_EMPTY;
    int64_t deadline = deadline_in_s(QUESTION_DEADLINE);
    if (!route_question_decode(str_slice(&question->body), question->arena, &sender, &addresses, &count)) {
        question_is_malformed(question);
        return;
    }
    struct resolver *which = question->type == LOOKUP_ROUTE_PROBE ? probe_resolver : resolver;
    for (size_t i = 0; i < count; i++) {
        struct route route;
        resolve_route(which, sender, addresses[i], question->arena, deadline, &route);
        route_encode(&route, &reply);
    }
    question_reply(question, &reply, -1);
    str_free(&reply);
}

void answer_route(struct ipc_channel *channel, struct ipc_message *message)
{
    const struct resolver *which = message->type == LOOKUP_ROUTE_PROBE ? probe_resolver : resolver;
    question_ask(channel, message, route_now, resolver_may_wait(which));
}
