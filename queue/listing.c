/* SPDX-License-Identifier: ISC */
/* listing: turns a message, in memory or on disk, into what is shown of it. Reads one file at most. */
#include <unistd.h>

#include "queue/listing.h"

#define MOST_BYTES (8u * 1024 * 1024) /* of addresses and reasons: an answer has its limit, and people theirs */

uint8_t listing_queue_of(const struct message *message)
{
    if (message->where == PLACE_HOLD)
        return CONTROL_IN_HOLD;
    switch (message->state) {
    case MESSAGE_ACTIVE:
    case MESSAGE_SETTLING:
        return CONTROL_IN_ACTIVE;
    case MESSAGE_WAITING:
        return CONTROL_IN_DEFERRED;
    default:
        return CONTROL_IN_INCOMING;
    }
}

bool listing_take(const struct message *message, struct arena *arena, struct listed_message *listed)
{
    struct stored_message stored;
    struct slice content;
    size_t bytes = 0;
    int fd;
    if (message->state == MESSAGE_INTAKE || message_peek(message, arena, &stored, &content, &fd) != STORED_OK)
        return false;
    if (fd >= 0)
        close(fd);
    *listed = (struct listed_message){
        .queue_id = arena_strdup(arena, message->queue_id),
        .queue = listing_queue_of(message),
        .forced_expire = (message->wishes & WISH_EXPIRE) != 0 || (stored.retry_flags & RETRY_EXPIRE) != 0,
        .arrival_s = stored.envelope.arrival_us / 1000000,
        .size = stored.frame.content_len,
        .sender = stored.envelope.sender,
    };
    listed->recipients = arena_alloc_array(arena, stored.envelope.recipient_count, sizeof *listed->recipients);
    for (size_t i = 0; i < stored.envelope.recipient_count; i++) {
        const struct stored_recipient *state = &stored.recipients[i];
        if (state->done || bytes > MOST_BYTES)
            continue;
        bytes += strlen(stored.envelope.recipients[i].address) + (state->reason != NULL ? strlen(state->reason) : 0);
        listed->recipients[listed->recipient_count++] = (struct listed_recipient){
            stored.envelope.recipients[i].address, state->reason != NULL ? state->reason : arena_strdup(arena, "")};
    }
    return true;
}
