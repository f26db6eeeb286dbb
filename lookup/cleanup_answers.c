/* SPDX-License-Identifier: ISC */
/*
 * cleanup_answers: CHECK and REWRITE, and which tables a cleanup service of its own in master.cf wants. A CHECK may hold
 * a thousand lines, a REWRITE many addresses: they run on fibers that make room for others now and then.
 */
#include "common/base/fiber.h"
#include "common/base/mem.h"
#include "common/config/master_cf.h"
#include "lookup/lookup.h"

#define QUESTION_DEADLINE 60 /* seconds */
#define LINES_AT_ONCE 32
#define LONG_LINE 4096      /* is work enough for one turn */
#define SHORT_QUESTION 4096 /* bytes: some hundred addresses at most are not worth a fiber */

/* --- profiles --------------------------------------------------------------------------- */

/* A cleanup service whose overrides change what becomes of addresses. */
struct profile {
    char *name;
    struct resolver *resolver;
};

static struct profile *profiles;
static size_t profile_count;

static void add_profile(const struct service *service, const struct config *config)
{
    struct config *own = service_config(service, config); /* the resolver keeps it */
    profiles = mem_realloc_array(profiles, profile_count + 1, sizeof *profiles);
    profiles[profile_count++] = (struct profile){mem_strdup(service->name), resolver_new(own)};
}

void profiles_open(const struct config *config)
{
    struct service_table services = {0};
    struct config_problems problems = {0};
    if (master_cf_load(config_directory(config), &services, &problems))
        for (size_t i = 0; i < services.count; i++)
            if (strcmp(services.services[i].command, "cleanup") == 0 && services.services[i].override_count > 0)
                add_profile(&services.services[i], config);
    service_table_free(&services);
    config_problems_free(&problems);
}

struct resolver *profile_resolver(const char *name)
{
    for (size_t i = 0; *name != '\0' && i < profile_count; i++)
        if (strcmp(profiles[i].name, name) == 0)
            return profiles[i].resolver;
    return answers_resolver();
}

bool profiles_may_wait(void)
{
    bool may_wait = resolver_may_wait(answers_resolver());
    for (size_t i = 0; i < profile_count && !may_wait; i++)
        may_wait = resolver_may_wait(profiles[i].resolver);
    return may_wait;
}

/* --- CHECK ---------------------------------------------------------------------------------- */

struct check {
    struct question *question;
    struct check_question asked;
    struct check_answer answer;
    struct maps *maps[CHECK_MAX_GROUPS];
    struct str value;
    size_t room;
};

static void add_hit(struct check *check, uint32_t line)
{
    struct arena *arena = check->question->arena;
    if (check->answer.count == check->room) {
        check->room = check->room == 0 ? 8 : check->room * 2;
        struct check_hit *larger = arena_alloc_array(arena, check->room, sizeof *larger);
        if (check->answer.count > 0)
            memcpy(larger, check->answer.hits, check->answer.count * sizeof *larger);
        check->answer.hits = larger;
    }
    check->answer.hits[check->answer.count++] = (struct check_hit){line, arena_slice(arena, str_slice(&check->value))};
}

/* False: a table could not say. */
static bool check_line(struct check *check, uint32_t line, uint8_t group, struct slice text)
{
    struct maps *maps = check->maps[group];
    enum table_status status = maps == NULL ? TABLE_ERROR :
        maps_find(maps, text, false, &check->value, NULL, deadline_in_s(QUESTION_DEADLINE));
    if (status == TABLE_FOUND)
        add_hit(check, line);
    return status != TABLE_ERROR;
}

static bool check_lines(struct check *check)
{
    for (uint32_t i = 0; i < check->asked.line_count; i++) {
        uint8_t group;
        struct slice text;
        if (!check_question_next(&check->asked, &group, &text))
            return false;
        if (!check->answer.failed && !check_line(check, i, group, text)) {
            check->answer.failed = true;
            check->answer.failed_line = i;
        }
        if ((i % LINES_AT_ONCE == LINES_AT_ONCE - 1 || text.len > LONG_LINE) && fiber_yield() != WAIT_OK)
            check->answer.failed = true;
    }
    return ipc_reader_finish(&check->asked.reader);
}

static void check_now(struct question *question)
{
    struct check check = {.question = question};
    struct str reply = STR_EMPTY;
    bool good = check_question_decode(str_slice(&question->body), question->arena, &check.asked);
    for (size_t i = 0; good && i < check.asked.group_count; i++)
        check.maps[i] = answers_maps(check.asked.groups[i].maps, check.asked.groups[i].parameter, question->arena);
    if (!good || !check_lines(&check)) {
        question_is_malformed(question);
        str_free(&check.value);
        return;
    }
    check_answer_encode(&check.answer, &reply);
    question_reply(question, &reply, -1);
    str_free(&reply);
    str_free(&check.value);
}

void answer_check(struct ipc_channel *channel, struct ipc_message *message)
{
    question_ask(channel, message, check_now, true);
}

/* --- REWRITE ---------------------------------------------------------------------------------- */

static void rewrite_now(struct question *question)
{
    struct rewrite_question asked;
    struct rewrite_answer answer;
    struct str reply = STR_EMPTY;
    if (!rewrite_question_decode(str_slice(&question->body), question->arena, &asked)) {
        question_is_malformed(question);
        return;
    }
    resolve_message(profile_resolver(asked.profile), &asked, question->arena, deadline_in_s(QUESTION_DEADLINE), &answer);
    rewrite_answer_encode(&answer, &reply);
    question_reply(question, &reply, -1);
    str_free(&reply);
}

void answer_rewrite(struct ipc_channel *channel, struct ipc_message *message)
{
    question_ask(channel, message, rewrite_now, message->body.len > SHORT_QUESTION || profiles_may_wait());
}
