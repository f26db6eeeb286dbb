/* SPDX-License-Identifier: ISC */
/*
 * showq: answers at public/showq as Postfix's showq(8) does, for exporters and for Postfix's own postqueue:
 * attributes as "name NUL value NUL", an empty name ends a group. It reads nothing from the client.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/stream.h"
#include "common/mail/quote.h"
#include "queue/listing.h"

#define WRITE_TIMEOUT_S 60
#define FLUSH_AT 32768
#define MOST_CLIENTS 64 /* each holds one of this process's descriptors */

static unsigned connected;

static void put_attribute(struct stream *stream, const char *name, const char *value)
{
    stream_put(stream, slice_range(name, strlen(name) + 1));
    stream_put(stream, slice_range(value, strlen(value) + 1));
}

static void put_number(struct stream *stream, const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    put_attribute(stream, name, text);
}

static void put_end(struct stream *stream)
{
    stream_put(stream, slice_range("", 1));
}

static void put_address(struct stream *stream, const char *name, const char *address)
{
    struct str quoted = STR_EMPTY;
    quote_append_address(&quoted, *address != '\0' ? address : "MAILER-DAEMON");
    text_make_printable(quoted.data, quoted.len);
    put_attribute(stream, name, str_text(&quoted));
    str_free(&quoted);
}

static void put_message(struct stream *stream, const struct listed_message *listed)
{
    put_attribute(stream, "queue_name", control_queue_name(listed->queue));
    put_attribute(stream, "queue_id", listed->queue_id);
    put_number(stream, "time", listed->arrival_s);
    put_number(stream, "size", (int64_t)listed->size);
    put_number(stream, "forced_expire", listed->forced_expire);
    put_address(stream, "sender", listed->sender);
    for (size_t i = 0; i < listed->recipient_count; i++) {
        put_address(stream, "recipient", listed->recipients[i].address);
        put_attribute(stream, "reason", listed->recipients[i].reason);
    }
    put_end(stream);
}

static bool showq_answer(struct stream *stream)
{
    struct arena *arena = arena_new();
    struct message *message;
    uint32_t cursor = 0;
    bool open = true;
    put_attribute(stream, "protocol", "mail_queue_list_protocol");
    put_end(stream);
    while (open && (message = message_after(&cursor)) != NULL) {
        struct listed_message listed;
        if (listing_take(message, arena, &listed))
            put_message(stream, &listed);
        arena_reset(arena);
        if (stream_pending_output(stream) >= FLUSH_AT)
            open = stream_flush(stream, deadline_in_s(WRITE_TIMEOUT_S)) == IO_OK && fiber_yield() == WAIT_OK;
    }
    put_end(stream);
    arena_free(arena);
    return open && stream_flush(stream, deadline_in_s(WRITE_TIMEOUT_S)) == IO_OK;
}

static void showq_fiber(void *arg)
{
    struct stream *stream = arg;
    (void)showq_answer(stream); /* a client that went away needs no answer */
    stream_close(stream);
    free(stream);
    connected--;
}

void showq_serve(int fd)
{
    struct stream *stream = mem_alloc(sizeof *stream);
    stream_init(stream, fd);
    if (connected >= MOST_CLIENTS || !control_may_list(fd)) {
        stream_close(stream);
        free(stream);
        return;
    }
    connected++;
    fiber_spawn("showq", showq_fiber, stream);
}
