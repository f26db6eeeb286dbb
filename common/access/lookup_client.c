/* SPDX-License-Identifier: ISC */
/* lookup_client: smtpd's questions to the lookup role, one round trip each. A role that is down or slow is a "cannot
 * say", logged here. */
#include <fcntl.h>

#include "common/base/log.h"
#include "common/process/role.h"
#include "common/access/access.h"

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

bool lookup_find(const char *maps, enum table_key_kind kind, const char *parameter, const char *key,
                 struct arena *arena, struct table_answer *answer)
{
    struct table_question question = {(char *)maps, (uint8_t)kind, (char *)parameter, (char *)key};
    struct str body = STR_EMPTY, reply;
    table_question_encode(&question, &body);
    if (!ask(LOOKUP_FIND, maps, &body, &reply))
        return false;
    if (!table_answer_decode(str_slice(&reply), arena, answer))
        log_panic("lookup service: malformed answer about %s", maps);
    str_free(&reply);
    return true;
}

bool lookup_address(const char *address, bool expand, struct arena *arena, struct address_answer *answer)
{
    struct str body = STR_EMPTY, reply;
    ipc_put_u8(&body, expand ? ADDRESS_EXPAND : 0);
    ipc_put_text(&body, address);
    if (!ask(LOOKUP_ADDRESS, address, &body, &reply))
        return false;
    if (!address_answer_decode(str_slice(&reply), arena, answer))
        log_panic("lookup service: malformed answer about <%s>", address);
    str_free(&reply);
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
        log_panic("lookup service: malformed answer to CONNECT");
    str_free(&reply);
    int flags = fd >= 0 ? fcntl(fd, F_GETFL) : 0;
    if (flags < 0 || (fd >= 0 && (flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
        log_fatal("cannot make a connection non-blocking: %m");
    return fd;
}
