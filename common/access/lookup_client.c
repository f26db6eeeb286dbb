/* SPDX-License-Identifier: ISC */
/* lookup_client: smtpd's questions to the lookup role, one round trip each. A role that is down or slow is a "cannot
 * say", logged here. */
#include "common/base/log.h"
#include "common/process/role.h"
#include "common/access/access.h"

#define LOOKUP_TIMEOUT 60 /* seconds; tables have shorter limits of their own */

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
