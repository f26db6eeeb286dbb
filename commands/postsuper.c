/* SPDX-License-Identifier: ISC */
/*
 * postsuper: deletes, holds, releases, requeues and expires messages, and repairs a stopped queue. For root and
 * mail_owner: the running queue asks the kernel who it is, a stopped one's files are closed to others.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "commands/queue_client.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define MOST_IDS_AT_ONCE 10000

/* The options in the order in which their work is done and reported. */
static const struct action {
    char option;
    uint8_t action;
    const char *done;     /* said once, with their number */
    const char *one_done; /* said of each message */
} actions[] = {
    {'d', CONTROL_DELETE, "Deleted", "removed"},
    {'e', CONTROL_EXPIRE, "Expired", "expired"},
    {'f', CONTROL_EXPIRE_RELEASE, "Expired", "expired"},
    {'h', CONTROL_HOLD, "Placed on hold", "placed on hold"},
    {'H', CONTROL_RELEASE, "Released from hold", "released from hold"},
    {'r', CONTROL_REQUEUE, "Requeued", "requeued"},
};
#define ACTION_COUNT (sizeof actions / sizeof actions[0])

static struct {
    const char **ids[ACTION_COUNT];
    size_t id_count[ACTION_COUNT];
    uint8_t queues;
    bool check;
} wanted;

static void usage(void) NORETURN;
static void usage(void)
{
    queue_client_fail(EX_USAGE, "usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] "
                                "[-f queue_id (expire and/or un-hold)] [-h queue_id (hold)] [-H queue_id (un-hold)] "
                                "[-p (purge temporary files)] [-r queue_id (requeue)] [-s (structure fix)] "
                                "[-S (redundant structure fix)] [-v (verbose)] [queue...]");
}

static bool is_queue_id(const char *text)
{
    size_t len = strlen(text);
    return len > 5 && len < QUEUE_ID_SIZE &&
           strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == len;
}

static void add_id(size_t action, const char *id)
{
    if (strcmp(id, "ALL") != 0 && strcmp(id, "-") != 0 && !is_queue_id(id)) {
        log_warning("invalid mail queue id: %s", id);
        return;
    }
    size_t count = wanted.id_count[action]++;
    wanted.ids[action] = mem_realloc_array(wanted.ids[action], count + 1, sizeof **wanted.ids);
    wanted.ids[action][count] = id;
}

static void tell_changed(const struct control_change *change, const char *queue_id)
{
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (actions[i].action == change->action) {
            log_info("%s: %s", queue_id, actions[i].one_done);
            return;
        }
    }
}

/* Ids from standard input, in portions: a pipe may bring a million. */
static unsigned change_from_input(struct queue_client *client, struct control_change *change)
{
    char *line = NULL;
    size_t size = 0;
    unsigned count = 0;
    bool more = true;
    struct arena *arena = arena_new();
    char **ids = mem_alloc_array(MOST_IDS_AT_ONCE, sizeof *ids);
    while (more) {
        change->id_count = 0;
        while (change->id_count < MOST_IDS_AT_ONCE && (more = getline(&line, &size, stdin) >= 0)) {
            char *id = arena_slice(arena, slice_trim(slice_of(line)));
            if (is_queue_id(id))
                ids[change->id_count++] = id;
            else if (*id != '\0')
                log_warning("invalid mail queue id: %s", id);
        }
        change->ids = ids;
        if (change->id_count > 0)
            count += queue_client_change(client, change, tell_changed);
        arena_reset(arena);
    }
    free(line);
    free(ids);
    arena_free(arena);
    return count;
}

static unsigned change_all_of(struct queue_client *client, size_t action)
{
    struct control_change change = {.action = actions[action].action, .queues = wanted.queues};
    unsigned count = 0;
    if (change.action == CONTROL_RELEASE)
        change.queues &= CONTROL_IN_HOLD;
    for (size_t i = 0; i < wanted.id_count[action]; i++) {
        char *id = (char *)(uintptr_t)wanted.ids[action][i];
        change.all = strcmp(id, "ALL") == 0;
        if (strcmp(id, "-") == 0) {
            count += change_from_input(client, &change);
            continue;
        }
        change.ids = &id;
        change.id_count = change.all ? 0 : 1;
        count += queue_client_change(client, &change, tell_changed);
    }
    return count;
}

static int run(struct queue_client *client)
{
    if (wanted.check && client->channel == NULL)
        queue_offline_check(client->config);
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (wanted.id_count[i] == 0)
            continue;
        unsigned count = change_all_of(client, i);
        log_info("%s: %u message%s", actions[i].done, count, count == 1 ? "" : "s");
    }
    return EX_OK;
}

static void add_queue(const char *name)
{
    static const struct { const char *name; uint8_t queue; } queues[] = {
        {"incoming", CONTROL_IN_INCOMING}, {"active", CONTROL_IN_ACTIVE}, {"deferred", CONTROL_IN_DEFERRED},
        {"hold", CONTROL_IN_HOLD}, {"maildrop", 0}, {"corrupt", 0},
    };
    for (size_t i = 0; i < sizeof queues / sizeof queues[0]; i++) {
        if (strcmp(name, queues[i].name) == 0) {
            wanted.queues |= queues[i].queue;
            return;
        }
    }
    queue_client_fail(EX_USAGE, "invalid queue name: %s", name);
}

static void take_option(int option)
{
    for (size_t i = 0; i < ACTION_COUNT; i++) {
        if (actions[i].option == option) {
            add_id(i, optarg);
            return;
        }
    }
    usage();
}

int main(int argc, char **argv)
{
    const char *directory = NULL;
    bool any = false;
    struct log_options options = {.sink = LOG_TO_STDERR, .fd = -1, .component = "postsuper"};
    log_open(&options);
    for (int option; (option = getopt(argc, argv, "c:d:e:f:h:H:pr:sSv")) != -1;) {
        any = any || (option != 'c' && option != 'v');
        if (option == 'c')
            directory = optarg;
        else if (option == 'p' || option == 's' || option == 'S')
            wanted.check = true;
        else if (option == 'v')
            log_set_verbose(true);
        else
            take_option(option);
    }
    for (int i = optind; i < argc; i++)
        add_queue(argv[i]);
    if (optind == argc)
        wanted.queues = CONTROL_IN_ALL;
    wanted.check = wanted.check || !any;
    return queue_client_main("postsuper", directory, run);
}
