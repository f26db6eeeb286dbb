/* SPDX-License-Identifier: ISC */
/*
 * virtual mailbox: from a recipient to a path and an owner, through the lookup role. A table that fails or
 * holds nonsense defers the mail with a warning that names it; only a recipient that virtual_mailbox_maps
 * does not know is bounced.
 */
#include "common/base/log.h"
#include "common/mail/lookup_protocol.h"
#include "virtual/virtual.h"

#define LOOKUP_DEADLINE 300 /* seconds */

/* "static:5000", alone: needs no question. */
static const char *mailbox_static_value(const char *maps)
{
    static const char prefix[] = "static:";
    if (strncmp(maps, prefix, sizeof prefix - 1) != 0 || strpbrk(maps, ", \t\r\n{}") != NULL)
        return NULL;
    return maps + sizeof prefix - 1;
}

static uint8_t mailbox_ask(const char *parameter, const char *maps, const char *address, struct arena *arena,
                           char **value)
{
    const char *fixed = mailbox_static_value(maps);
    if (fixed != NULL) {
        *value = arena_strdup(arena, fixed);
        return TABLE_FOUND;
    }
    struct str question = STR_EMPTY, reply = STR_EMPTY;
    struct table_answer answer;
    table_question_encode(&(struct table_question){.maps = (char *)maps, .kind = KEY_ADDRESS,
                                                   .parameter = (char *)parameter, .key = (char *)address},
                          &question);
    enum ipc_status status = role_call(ROLE_LOOKUP, NULL, LOOKUP_FIND, str_slice(&question), &reply, NULL,
                                       deadline_in_s(LOOKUP_DEADLINE));
    str_free(&question);
    if (status != IPC_OK)
        return TABLE_ERROR;
    if (!table_answer_decode(str_slice(&reply), arena, &answer))
        log_fatal("malformed answer of the lookup service to FIND");
    str_free(&reply);
    *value = answer.value;
    return answer.status;
}

static bool mailbox_fails(struct mailbox_result *failure)
{
    *failure = (struct mailbox_result){"4.3.5", "mail system configuration error"};
    return false;
}

/* --- path ------------------------------------------------------------------------------- */

/* Tables are the admin's, but a value may contain what a sender wrote (regexp, SQL %u): no way up. */
char *mailbox_path(const char *base, const char *value, struct arena *arena)
{
    struct slice rest = slice_of(value), component;
    if (rest.len == 0)
        return NULL;
    while (slice_next_token(&rest, "/", &component)) {
        if (slice_equal(component, SLICE("..")))
            return NULL;
    }
    return arena_printf(arena, "%s/%s", base, value);
}

static bool mailbox_find_path(const char *address, struct arena *arena, struct mailbox *mailbox,
                              struct mailbox_result *failure)
{
    static const char parameter[] = "virtual_mailbox_maps";
    char *value;
    switch (mailbox_ask(parameter, virtual_settings.mailbox_maps, address, arena, &value)) {
    case TABLE_FOUND:
        break;
    case TABLE_NOT_FOUND:
        *failure =
            (struct mailbox_result){"5.1.1", arena_printf(arena, "unknown user: \"%s\"", address)};
        return false;
    default:
        log_warning("table %s: lookup %s: temporary failure", parameter, address);
        return mailbox_fails(failure);
    }
    mailbox->path = mailbox_path(virtual_settings.base, value, arena);
    if (mailbox->path != NULL)
        return true;
    log_warning("recipient %s: bad mailbox path %s in %s", address, value, parameter);
    return mailbox_fails(failure);
}

/* --- owner ---------------------------------------------------------------------------------- */

bool mailbox_parse_id(const char *text, uint64_t least, uint32_t *id)
{
    uint64_t number;
    if (!slice_to_u64(slice_of(text), &number) || number < least || number >= UINT32_MAX)
        return false;
    *id = (uint32_t)number;
    return true;
}

static bool mailbox_find_id(const char *what, const char *parameter, const char *maps, const char *address,
                            uint64_t least, struct arena *arena, uint32_t *id, struct mailbox_result *failure)
{
    char *value;
    switch (mailbox_ask(parameter, maps, address, arena, &value)) {
    case TABLE_FOUND:
        if (mailbox_parse_id(value, least, id))
            return true;
        log_warning("recipient %s: bad %s %s in %s", address, what, value, parameter);
        break;
    case TABLE_NOT_FOUND:
        log_warning("recipient %s: not found in %s", address, parameter);
        break;
    default:
        log_warning("table %s: lookup %s: temporary failure", parameter, address);
    }
    return mailbox_fails(failure);
}

bool mailbox_find(const char *address, struct arena *arena, struct mailbox *mailbox,
                  struct mailbox_result *failure)
{
    *failure = (struct mailbox_result){0};
    char *folded = arena_strdup(arena, address);
    text_lowercase(folded);
    if (!mailbox_find_path(folded, arena, mailbox, failure) ||
        !mailbox_find_id("uid", "virtual_uid_maps", virtual_settings.uid_maps, folded,
                         virtual_settings.minimum_uid, arena, &mailbox->uid, failure) ||
        !mailbox_find_id("gid", "virtual_gid_maps", virtual_settings.gid_maps, folded, 1, arena, &mailbox->gid,
                         failure))
        return false;
    if (owner_is_possible(mailbox->uid, mailbox->gid))
        return true;
    log_warning("recipient %s: bad uid %lu in virtual_uid_maps: the server was not started as root and can "
                "deliver with its own uid and gid only", folded, (unsigned long)mailbox->uid);
    return mailbox_fails(failure);
}
