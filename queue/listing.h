/* SPDX-License-Identifier: ISC */
/* What an admin sees of a message: the queue it is in, and the listing that postqueue and showq clients get. */
#ifndef POSTHORN_QUEUE_LISTING_H
#define POSTHORN_QUEUE_LISTING_H

#include "common/mail/control_protocol.h"
#include "queue/queue.h"

/* One bit of enum control_queue. */
uint8_t listing_queue_of(const struct message *message);
/* False when there is nothing to show (it is not acknowledged yet, or is being removed). Texts in the arena. */
bool listing_take(const struct message *message, struct arena *arena, struct listed_message *listed) MUST_CHECK;

/* control.c: whether authorized_mailq_users lets the peer of this socket list the queue. */
bool control_may_list(int fd);

#endif
