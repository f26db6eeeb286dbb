/* SPDX-License-Identifier: ISC */
/*
 * control: the socket public/postqueue, where commands ask and order. Anybody on the machine may connect: who
 * it is says SO_PEERCRED, what he may is decided before anything is done, and what he sends is bounded.
 */
#include "common/mail/control_protocol.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "queue/listing.h"

#define MOST_LISTED_BYTES 60000 /* in one answer */
#define MOST_CHANGE (4u * 1024 * 1024)
#define MOST_USERS 256
#define CHANGE_WAIT_MS 10000
#define MOST_CLIENTS 256 /* each holds one of this process's descriptors */
#define MOST_UNREAD (8u * 1024 * 1024)

/* Who may do something: user ids, resolved before this process was confined. */
struct user_list {
    bool everybody;
    size_t count;
    uid_t users[MOST_USERS];
};

static struct user_list may_list, may_flush, may_change;

/* --- who may ------------------------------------------------------------------------------- */

static void user_list_add(struct user_list *list, const char *name)
{
    const struct passwd *user = getpwnam(name);
    if (user != NULL && list->count < MOST_USERS)
        list->users[list->count++] = user->pw_uid;
}

static void user_list_read(struct user_list *list, const struct config *config, const char *parameter)
{
    char **items;
    struct arena *arena = arena_new();
    size_t count = config_split_list(config_string(config, parameter), arena, &items);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(items[i], "static:anyone") == 0 || strcmp(items[i], "static:all") == 0)
            list->everybody = true;
        else if (strchr(items[i], ':') != NULL || items[i][0] == '!' || items[i][0] == '/')
            log_warning("%s: only user names and static:anyone are supported here, not \"%s\"", parameter, items[i]);
        else
            user_list_add(list, items[i]);
    }
    arena_free(arena);
}

void control_open(const struct config *config)
{
    may_list = may_flush = may_change = (struct user_list){0};
    user_list_read(&may_list, config, "authorized_mailq_users");
    user_list_read(&may_flush, config, "authorized_flush_users");
    user_list_add(&may_change, config_string(config, "mail_owner"));
    user_list_add(&may_list, config_string(config, "mail_owner"));
    user_list_add(&may_flush, config_string(config, "mail_owner"));
}

static bool user_allowed(const struct user_list *list, uid_t user)
{
    if (list->everybody || user == 0)
        return true;
    for (size_t i = 0; i < list->count; i++)
        if (list->users[i] == user)
            return true;
    return false;
}

static bool peer_user(int fd, uid_t *user)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    *user = peer.uid;
    return true;
}

bool control_may_list(int fd)
{
    uid_t user;
    return peer_user(fd, &user) && user_allowed(&may_list, user);
}

/* Who is at the other end. Outlives the channel while an answer is due. */
struct control_client {
    uid_t user;
    struct ipc_channel *channel; /* NULL: gone */
    unsigned references;
};

static uid_t channel_user(const struct ipc_channel *channel)
{
    const struct control_client *client = ipc_owner(channel);
    return client->user;
}

static unsigned connected;

static void client_release(struct control_client *client)
{
    if (--client->references == 0)
        free(client);
}

static void control_lost(struct ipc_channel *channel)
{
    struct control_client *client = ipc_owner(channel);
    connected--;
    client->channel = NULL;
    client_release(client);
}

static void reply_status(struct ipc_channel *channel, const struct ipc_message *message, enum control_status status)
{
    const char byte = (char)status;
    ipc_reply(channel, message->id, slice_range(&byte, 1), -1);
}

static bool control_allow(struct ipc_channel *channel, const struct ipc_message *message, const struct user_list *list)
{
    if (user_allowed(list, channel_user(channel)))
        return true;
    reply_status(channel, message, CONTROL_DENIED);
    return false;
}

/* --- looking ---------------------------------------------------------------------------------- */

static void on_list(struct ipc_channel *channel, struct ipc_message *message)
{
    struct ipc_reader reader = ipc_reader_of(message->body);
    uint32_t cursor = ipc_get_u32(&reader);
    if (!ipc_reader_finish(&reader)) {
        ipc_violation(channel, "malformed LIST");
        return;
    }
    if (ipc_queued(channel) > MOST_UNREAD) {
        ipc_violation(channel, "asks and does not read");
        return;
    }
    if (!control_allow(channel, message, &may_list))
        return;
    struct str body = STR_EMPTY, messages = STR_EMPTY;
    struct arena *arena = arena_new();
    struct message *one = NULL;
    while (messages.len < MOST_LISTED_BYTES && (one = message_after(&cursor)) != NULL) {
        struct listed_message listed;
        if (listing_take(one, arena, &listed))
            listed_message_encode(&listed, &messages);
        arena_reset(arena);
    }
    arena_free(arena);
    ipc_put_u8(&body, CONTROL_OK);
    ipc_put_u32(&body, one != NULL ? cursor : 0);
    str_append_slice(&body, str_slice(&messages));
    ipc_reply(channel, message->id, str_slice(&body), -1);
    str_free(&messages);
    str_free(&body);
}

static void control_reply_content(struct ipc_channel *channel, const struct ipc_message *request,
                                  const struct message *message, struct arena *arena)
{
    struct stored_message stored;
    struct control_content content = {.queue = listing_queue_of(message)};
    struct str body = STR_EMPTY;
    int fd;
    if (message_peek(message, arena, &stored, &content.content, &fd) != STORED_OK) {
        reply_status(channel, request, CONTROL_NOT_FOUND);
        return;
    }
    if (fd < 0 && content.content.data[0] == '\0' && message->where != PLACE_JOURNAL)
        fd = message_open_file(message);
    content.envelope = stored.envelope;
    content.done = arena_alloc_array(arena, stored.envelope.recipient_count, sizeof(bool));
    for (size_t i = 0; i < stored.envelope.recipient_count; i++)
        content.done[i] = stored.recipients[i].done;
    content.content_offset = stored.content_offset;
    content.content_size = stored.frame.content_len;
    content.in_file = fd >= 0;
    ipc_put_u8(&body, CONTROL_OK);
    control_content_encode(&content, &body);
    ipc_reply(channel, request->id, str_slice(&body), fd);
    if (fd >= 0)
        close(fd);
    str_free(&body);
}

static void on_read(struct ipc_channel *channel, struct ipc_message *message)
{
    struct ipc_reader reader = ipc_reader_of(message->body);
    struct slice id = ipc_get_slice(&reader);
    if (!ipc_reader_finish(&reader)) {
        ipc_violation(channel, "malformed READ");
        return;
    }
    if (!control_allow(channel, message, &may_change))
        return;
    struct message *found = message_find_id(id);
    bool readable = found != NULL && found->state != MESSAGE_INTAKE &&
                    (found->where != PLACE_JOURNAL || active_load_content(found->active));
    if (!readable) {
        reply_status(channel, message, CONTROL_NOT_FOUND);
        return;
    }
    struct arena *arena = arena_new();
    control_reply_content(channel, message, found, arena);
    arena_free(arena);
}

/* --- trying again --------------------------------------------------------------------------- */

/* Its delivery is under way, and its failure may be in the log already: if it is put off, it is tried once more. */
static void flush_if_active(struct message *message, void *context UNUSED)
{
    if (message->state == MESSAGE_ACTIVE || message->state == MESSAGE_SETTLING)
        message->wishes |= WISH_RETRY;
}

static void on_flush(struct ipc_channel *channel, struct ipc_message *message)
{
    if (!control_allow(channel, message, &may_flush))
        return;
    schedule_flush();
    message_each(flush_if_active, NULL);
    reply_status(channel, message, CONTROL_OK);
}

static void on_flush_id(struct ipc_channel *channel, struct ipc_message *message)
{
    struct ipc_reader reader = ipc_reader_of(message->body);
    struct slice id = ipc_get_slice(&reader);
    if (!ipc_reader_finish(&reader)) {
        ipc_violation(channel, "malformed FLUSH_ID");
        return;
    }
    if (!control_allow(channel, message, &may_flush))
        return;
    struct message *found = message_find_id(id);
    if (found != NULL) {
        transport_flush();
        schedule_retry_now(found);
    }
    reply_status(channel, message, found != NULL ? CONTROL_OK : CONTROL_NOT_FOUND);
}

/* Whether a recipient that is still open is at this site. */
static bool message_is_for_site(const struct message *message, struct slice site, struct arena *arena)
{
    struct listed_message listed;
    if (!listing_take(message, arena, &listed))
        return false;
    for (size_t i = 0; i < listed.recipient_count; i++) {
        const char *at = strrchr(listed.recipients[i].address, '@');
        if (at != NULL && slice_equal_nocase(slice_of(at + 1), site))
            return true;
    }
    return false;
}

struct site_flush {
    struct arena *arena;
    struct slice site;
};

static void flush_if_for_site(struct message *message, void *context)
{
    struct site_flush *flush = context;
    if (message->state == MESSAGE_WAITING && message_is_for_site(message, flush->site, flush->arena))
        schedule_retry_now(message);
    arena_reset(flush->arena);
}

static void on_flush_site(struct ipc_channel *channel, struct ipc_message *message)
{
    struct ipc_reader reader = ipc_reader_of(message->body);
    struct site_flush flush = {.site = ipc_get_slice(&reader)};
    if (!ipc_reader_finish(&reader)) {
        ipc_violation(channel, "malformed FLUSH_SITE");
        return;
    }
    if (!control_allow(channel, message, &may_flush))
        return;
    flush.arena = arena_new();
    transport_flush();
    message_each(flush_if_for_site, &flush);
    arena_free(flush.arena);
    reply_status(channel, message, CONTROL_OK);
}

/* --- changing ---------------------------------------------------------------------------------- */

/* False: it could not be read, and may be gone. */
static bool message_expire_held(struct message *message)
{
    if (!active_load(message))
        return false;
    message->active->retry_flags |= RETRY_EXPIRE;
    store_keep(message, PLACE_HOLD, 0);
    return true;
}

static bool message_release(struct message *message, bool now)
{
    if (message->state != MESSAGE_HELD)
        return false;
    if (now)
        message->wishes |= WISH_RETRY;
    store_keep(message, PLACE_DEFERRED, wall_us() / 1000000);
    return true;
}

/* True when it counts as done. */
static bool change_apply(struct message *message, uint8_t action)
{
    switch (action) {
    case CONTROL_DELETE:
        message->wishes |= WISH_DELETE;
        break;
    case CONTROL_HOLD:
        if (message->where == PLACE_HOLD)
            return false;
        message->wishes |= WISH_HOLD;
        break;
    case CONTROL_RELEASE:
        return message_release(message, false);
    case CONTROL_REQUEUE: /* routed and delivered as if it had just come */
        if (message->state == MESSAGE_HELD)
            return message_release(message, true);
        message->wishes |= WISH_RETRY;
        break;
    case CONTROL_EXPIRE_RELEASE:
        message->wishes |= WISH_EXPIRE;
        if (message->state == MESSAGE_HELD)
            return message_release(message, true);
        break;
    default:
        message->wishes |= WISH_EXPIRE;
        if (message->state == MESSAGE_HELD)
            return message_expire_held(message);
        break;
    }
    if (!message_is_busy(message))
        (void)settle_wishes(message);
    return true;
}

struct change_all {
    const struct control_change *change;
    uint32_t count;
    struct str ids; /* of the messages that were changed, encoded */
};

static void change_one(struct message *message, void *context)
{
    struct change_all *all = context;
    bool pending = (message->wishes & WISH_DELETE) != 0 || message->state == MESSAGE_INTAKE;
    if (pending || (listing_queue_of(message) & all->change->queues) == 0)
        return;
    char queue_id[SPOOL_ID_SIZE]; /* the message may be gone afterwards */
    memcpy(queue_id, message->queue_id, sizeof queue_id);
    if (!change_apply(message, all->change->action))
        return;
    all->count++;
    ipc_put_text(&all->ids, queue_id);
}

/* The answer to a change waits until the disk has it: who deletes and then lists wants to see it gone. */
struct change_answer {
    struct control_client *client;
    uint32_t id, count;
    struct str ids;
};

static void change_answer_fiber(void *arg)
{
    struct change_answer *answer = arg;
    struct str body = STR_EMPTY;
    disk_wait_files(deadline_in_ms(CHANGE_WAIT_MS));
    ipc_put_u8(&body, CONTROL_OK);
    ipc_put_u32(&body, answer->count);
    str_append_slice(&body, str_slice(&answer->ids));
    if (answer->client->channel != NULL)
        ipc_reply(answer->client->channel, answer->id, str_slice(&body), -1);
    str_free(&body);
    client_release(answer->client);
    str_free(&answer->ids);
    free(answer);
}

static void on_change(struct ipc_channel *channel, struct ipc_message *message)
{
    struct arena *arena = arena_new();
    struct control_change change;
    if (!control_change_decode(message->body, arena, &change)) {
        arena_free(arena);
        ipc_violation(channel, "malformed CHANGE");
        return;
    }
    if (!control_allow(channel, message, &may_change)) {
        arena_free(arena);
        return;
    }
    struct change_all all = {.change = &change};
    if (change.all)
        message_each(change_one, &all);
    for (size_t i = 0; i < change.id_count && !change.all; i++) {
        struct message *found = message_find_id(slice_of(change.ids[i]));
        if (found != NULL)
            change_one(found, &all);
    }
    arena_free(arena);
    struct change_answer *answer = mem_alloc(sizeof *answer);
    *answer = (struct change_answer){ipc_owner(channel), message->id, all.count, all.ids};
    answer->client->references++;
    fiber_spawn("change", change_answer_fiber, answer);
}

static const struct ipc_rule control_rules[] = {
    {CONTROL_LIST, "LIST", IPC_REQUEST, false, IPC_ANY_STATE, 4, on_list},
    {CONTROL_FLUSH, "FLUSH", IPC_REQUEST, false, IPC_ANY_STATE, 0, on_flush},
    {CONTROL_FLUSH_ID, "FLUSH_ID", IPC_REQUEST, false, IPC_ANY_STATE, 64, on_flush_id},
    {CONTROL_FLUSH_SITE, "FLUSH_SITE", IPC_REQUEST, false, IPC_ANY_STATE, 300, on_flush_site},
    {CONTROL_CHANGE, "CHANGE", IPC_REQUEST, false, IPC_ANY_STATE, MOST_CHANGE, on_change},
    {CONTROL_READ, "READ", IPC_REQUEST, false, IPC_ANY_STATE, 64, on_read},
};
static const struct ipc_edge control_edge = {
    "postqueue->queue", IPC_FROM_CLIENT, control_rules, sizeof control_rules / sizeof control_rules[0], control_lost,
};

void control_serve(int fd)
{
    uid_t user;
    if (connected >= MOST_CLIENTS || !peer_user(fd, &user)) {
        close(fd);
        return;
    }
    connected++;
    struct control_client *client = mem_alloc(sizeof *client);
    *client = (struct control_client){.user = user, .references = 1};
    client->channel = ipc_open(&control_edge, fd, client);
}
