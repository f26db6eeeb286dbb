/* SPDX-License-Identifier: ISC */
/*
 * delivery_content: reads what is to be delivered. Used by the delivery agents; holds no right but the
 * descriptor it is given. Reading blocks on the disk, never on a stranger.
 */
#include "common/mail/delivery_content.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/base/mem.h"

void delivery_content_start(struct delivery_content *content, const struct delivery *delivery, int fd)
{
    *content = (struct delivery_content){.delivery = delivery, .fd = delivery->in_file ? fd : -1};
}

void delivery_content_rewind(struct delivery_content *content)
{
    content->position = 0;
    if (content->hash_state != NULL && XXH3_64bits_reset(content->hash_state) == XXH_ERROR)
        mem_exhausted(0);
}

void delivery_content_stop(struct delivery_content *content)
{
    free(content->buffer);
    if (content->hash_state != NULL && XXH3_freeState(content->hash_state) == XXH_ERROR)
        mem_exhausted(0);
    content->buffer = NULL;
    content->hash_state = NULL;
}

static enum content_status content_next_inline(struct delivery_content *content, struct slice *chunk)
{
    const struct delivery *delivery = content->delivery;
    if (content->position == 0 &&
        XXH3_64bits(delivery->content.data, delivery->content.len) != delivery->content_hash)
        return CONTENT_CORRUPT;
    if (content->position == delivery->content.len)
        return CONTENT_END;
    *chunk = delivery->content;
    content->position = delivery->content.len;
    return CONTENT_MORE;
}

static void content_prepare_buffer(struct delivery_content *content)
{
    if (content->buffer != NULL)
        return;
    content->buffer = mem_realloc_array(NULL, DELIVERY_CHUNK, 1);
    content->hash_state = XXH3_createState();
    if (content->hash_state == NULL || XXH3_64bits_reset(content->hash_state) == XXH_ERROR)
        mem_exhausted(0);
}

enum content_status delivery_content_next(struct delivery_content *content, struct slice *chunk)
{
    const struct delivery *delivery = content->delivery;
    if (!delivery->in_file)
        return content_next_inline(content, chunk);
    content_prepare_buffer(content);
    uint64_t left = delivery->content_size - content->position;
    if (left == 0)
        return XXH3_64bits_digest(content->hash_state) == delivery->content_hash ? CONTENT_END : CONTENT_CORRUPT;
    size_t want = left < DELIVERY_CHUNK ? (size_t)left : DELIVERY_CHUNK;
    ssize_t n;
    do {
        n = pread(content->fd, content->buffer, want, (off_t)(delivery->content_offset + content->position));
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return CONTENT_ERROR;
    if (n == 0)
        return CONTENT_CORRUPT;
    if (XXH3_64bits_update(content->hash_state, content->buffer, (size_t)n) == XXH_ERROR)
        return CONTENT_CORRUPT;
    content->position += (uint64_t)n;
    *chunk = slice_range(content->buffer, (size_t)n);
    return CONTENT_MORE;
}
