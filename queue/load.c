/* SPDX-License-Identifier: ISC */
/*
 * load: finds the messages in deferred/ and hold/ after a start, in slices and in the background. Names and
 * times are read, files are not: a file's time is when it wants to be tried again.
 */
#include "common/base/fiber.h"
#include "common/base/log.h"
#include "queue/queue.h"

#define FILES_AT_ONCE 200

static bool complete;

bool load_is_complete(void) { return complete; }

static void load_take(const struct walked_file *file)
{
    struct message *message = message_find(file->serial);
    if (message != NULL) {
        if (strcmp(message->queue_id, file->queue_id) != 0)
            log_warning("%s/%s: another message has this serial number; left alone",
                        spool_place_name(file->where), file->queue_id);
        return;
    }
    message = message_new(file->serial, file->queue_id, file->where);
    if (file->where == PLACE_HOLD)
        schedule_hold(message);
    else
        schedule_wait(message, file->mtime);
}

static void load_fiber(void *arg UNUSED)
{
    struct spool_walk walk;
    struct walked_file file;
    size_t count = 0;
    spool_walk_start(&walk, spool.directory);
    while (spool_walk_next(&walk, &file)) {
        load_take(&file);
        if (++count % FILES_AT_ONCE == 0 && fiber_yield() != WAIT_OK)
            break;
    }
    spool_walk_stop(&walk);
    complete = true;
}

void load_start(void)
{
    fiber_spawn("load", load_fiber, NULL);
}
