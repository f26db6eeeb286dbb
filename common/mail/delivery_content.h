/* SPDX-License-Identifier: ISC */
/*
 * The content of a delivery, from memory or from a descriptor, checked against its hash. The end is
 * reported only after the hash matched, so whoever completes a delivery only at the end cannot deliver
 * damaged mail.
 */
#ifndef POSTHORN_MAIL_DELIVERY_CONTENT_H
#define POSTHORN_MAIL_DELIVERY_CONTENT_H

#include "common/mail/queue_protocol.h"

#define DELIVERY_CHUNK (64u * 1024)

struct delivery_content {
    const struct delivery *delivery;
    int fd;             /* borrowed; -1 when inline */
    char *buffer;
    uint64_t position;  /* bytes handed out */
    void *hash_state;
};

enum content_status {
    CONTENT_MORE = 0, /* *chunk holds bytes */
    CONTENT_END,      /* that was all, and the hash is right */
    CONTENT_CORRUPT,  /* too short, or the hash is wrong */
    CONTENT_ERROR,    /* it cannot be read: errno tells */
};

void delivery_content_start(struct delivery_content *content, const struct delivery *delivery, int fd);
/* The next piece; valid until the next call. Inline content comes as one piece, checked before it is given. */
enum content_status delivery_content_next(struct delivery_content *content, struct slice *chunk) MUST_CHECK;
/* Begins again at the first byte. */
void delivery_content_rewind(struct delivery_content *content);
void delivery_content_stop(struct delivery_content *content);

#endif
