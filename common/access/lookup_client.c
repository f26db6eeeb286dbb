/* SPDX-License-Identifier: ISC */
/* lookup_client: smtpd's questions to the lookup role, one round trip each. A role that is down or slow is a "cannot
 * say", logged here. */
#include <fcntl.h>

#include "common/base/log.h"
#include "common/process/role.h"
#include "common/access/access.h"
#include "common/access/trace.h"

#define LOOKUP_TIMEOUT 60 /* seconds; tables have shorter limits of their own */
#define LONGEST_CONNECT_MS (300 * 1000)
#define LOOKUP_SLACK_MS 5000 /* that lookup may take beyond the connection itself */

static bool ask(enum lookup_record type, const char *what, struct str *question, struct str *answer)
{
    enum ipc_status status = role_call(ROLE_LOOKUP, NULL, type, str_slice(question), answer, NULL,
                                       deadline_in_s(LOOKUP_TIMEOUT));
    str_free(question);
    if (status == IPC_OK)
        return true;
    log_warning("lookup service: %s for %s", status == IPC_TIMEOUT ? "no answer in time" :
                status == IPC_CANCELLED ? "cancelled" : "connection lost", what);
    return false;
}

static void trace_find(const char *maps, const char *key, const struct table_answer *answer)
{
    if (trace_current() == NULL)
        return;
    struct str question = STR_EMPTY;
    str_printf(&question, "%s \"%s\"", maps, key);
    trace_input("table", str_text(&question), "%s", answer->status == TABLE_FOUND ? answer->value :
                answer->status == TABLE_NOT_FOUND ? "not found" : "the table failed");
    str_free(&question);
}

static void trace_address(const char *address, const struct address_answer *answer)
{
    static const char *const classes[] = {"local", "virtual alias", "virtual mailbox", "relay", "not ours"};
    trace_input("address", address, "domain class: %s; %s%s; transport %s%s%s",
                answer->address_class < sizeof classes / sizeof classes[0] ? classes[answer->address_class] : "?",
                answer->validity == ADDRESS_VALID ? "no reason to doubt the user" :
                answer->validity == ADDRESS_UNKNOWN ? "user unknown in " : "table failed: ",
                answer->validity == ADDRESS_VALID ? "" : answer->validity == ADDRESS_UNKNOWN ? answer->unknown_in : answer->failed_table,
                answer->transport, *answer->next_hop != '\0' ? " to " : "", answer->next_hop);
    for (size_t i = 0; i < answer->expanded_count; i++)
        if (strcmp(answer->expanded[i], address) != 0)
            trace_input("alias", address, "%s", answer->expanded[i]);
}

bool lookup_find(const char *maps, enum table_key_kind kind, const char *parameter, const char *key,
                 struct arena *arena, struct table_answer *answer)
{
    struct table_question question = {(char *)maps, (uint8_t)kind, (char *)parameter, (char *)key};
    struct str body = STR_EMPTY, reply;
    table_question_encode(&question, &body);
    if (!ask(LOOKUP_FIND, maps, &body, &reply))
        return false;
    if (!table_answer_decode(str_slice(&reply), arena, answer))
        log_fatal("lookup service: malformed answer about %s", maps);
    str_free(&reply);
    trace_find(maps, key, answer);
    return true;
}

bool lookup_find_many(const struct table_question *questions, size_t count, struct arena *arena, struct table_answer *answers)
{
    struct str body = STR_EMPTY, reply;
    table_questions_encode(questions, count, &body);
    if (!ask(LOOKUP_FIND_MANY, "several tables", &body, &reply))
        return false;
    if (!table_answers_decode(str_slice(&reply), arena, answers, count))
        log_panic("lookup service: malformed answer about several tables");
    str_free(&reply);
    return true;
}

bool lookup_address(const char *address, bool expand, struct arena *arena, struct address_answer *answer)
{
    struct str body = STR_EMPTY, reply;
    ipc_put_u8(&body, (uint8_t)(expand ? ADDRESS_EXPAND | smtpd.address_flags : ADDRESS_IS_SENDER));
    ipc_put_text(&body, address);
    ipc_put_text(&body, smtpd.address_profile);
    if (!ask(LOOKUP_ADDRESS, address, &body, &reply))
        return false;
    if (!address_answer_decode(str_slice(&reply), arena, answer))
        log_fatal("lookup service: malformed answer about <%s>", address);
    str_free(&reply);
    trace_address(address, answer);
    return true;
}

/* The answer of CONNECT: {u8 ok, text peer_name, text peer_address, text error}. */
static bool connect_answer_decode(struct slice body, struct arena *arena, bool *ok, const char **error)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *ok = ipc_get_bool(&reader);
    (void)ipc_get_text(&reader, arena);
    (void)ipc_get_text(&reader, arena);
    *error = ipc_get_text(&reader, arena);
    return ipc_reader_finish(&reader);
}

int lookup_connect(const char *endpoint, int64_t timeout_ms, struct arena *arena, const char **error)
{
    struct str body = STR_EMPTY, reply = STR_EMPTY;
    int fd = -1;
    bool ok;
    if (timeout_ms > LONGEST_CONNECT_MS)
        timeout_ms = LONGEST_CONNECT_MS;
    ipc_put_text(&body, endpoint);
    ipc_put_u32(&body, (uint32_t)timeout_ms);
    enum ipc_status status = role_call(ROLE_LOOKUP, NULL, LOOKUP_CONNECT, str_slice(&body), &reply, &fd,
                                       deadline_in_ms(timeout_ms + LOOKUP_SLACK_MS));
    str_free(&body);
    if (status != IPC_OK) {
        *error = status == IPC_TIMEOUT ? "the lookup service does not answer" : "the lookup service is not available";
        return -1;
    }
    if (!connect_answer_decode(str_slice(&reply), arena, &ok, error) || ok != (fd >= 0))
        log_fatal("lookup service: malformed answer to CONNECT");
    str_free(&reply);
    int flags = fd >= 0 ? fcntl(fd, F_GETFL) : 0;
    if (flags < 0 || (fd >= 0 && (flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
        log_fatal("cannot make a connection non-blocking: %m");
    return fd;
}

bool lookup_check(struct str *question, struct arena *arena, struct check_answer *answer)
{
    struct str reply;
    if (!ask(LOOKUP_CHECK, "content checks", question, &reply))
        return false;
    if (!check_answer_decode(str_slice(&reply), arena, answer))
        log_fatal("lookup service: malformed answer to CHECK");
    str_free(&reply);
    return true;
}

bool lookup_rewrite(const struct rewrite_question *question, struct arena *arena, struct rewrite_answer *answer)
{
    struct str body = STR_EMPTY, reply;
    rewrite_question_encode(question, &body);
    if (!ask(LOOKUP_REWRITE, "address rewriting", &body, &reply))
        return false;
    if (!rewrite_answer_decode(str_slice(&reply), arena, answer) || answer->count != question->count)
        log_fatal("lookup service: malformed answer to REWRITE");
    str_free(&reply);
    return true;
}
