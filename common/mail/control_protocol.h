/* SPDX-License-Identifier: ISC */
/*
 * Records between people's commands (postqueue, mailq, postsuper, postcat) and the queue, over the socket
 * public/postqueue. The queue asks the kernel who is at the other end: everybody whom
 * authorized_mailq_users and authorized_flush_users allow may list and flush; the rest is for root and mail_owner.
 */
#ifndef POSTHORN_MAIL_CONTROL_PROTOCOL_H
#define POSTHORN_MAIL_CONTROL_PROTOCOL_H

#include "common/mail/envelope.h"

#define CONTROL_SOCKET "public/postqueue"

enum control_record {
    CONTROL_LIST = 1,       /* request {u32 cursor} -> {u8 status, u32 next cursor (0: the end), listed messages} */
    CONTROL_FLUSH = 2,      /* request {} -> {u8 status} */
    CONTROL_FLUSH_ID = 3,   /* request {text id} -> {u8 status} */
    CONTROL_FLUSH_SITE = 4, /* request {text site} -> {u8 status} */
    CONTROL_CHANGE = 5,     /* request {struct control_change} -> {u8 status, u32 count, count * text id} */
    CONTROL_READ = 6,       /* request {text id} -> {u8 status, struct control_content} [+ descriptor] */
};

enum control_status {
    CONTROL_OK = 0,
    CONTROL_DENIED = 1,    /* not for this user */
    CONTROL_NOT_FOUND = 2,
};

enum control_action {
    CONTROL_DELETE = 1,  /* postsuper -d */
    CONTROL_HOLD = 2,    /* -h */
    CONTROL_RELEASE = 3, /* -H */
    CONTROL_REQUEUE = 4, /* -r */
    CONTROL_EXPIRE = 5,  /* -e */
    CONTROL_EXPIRE_RELEASE = 6, /* -f */
};

/* Queues as an admin names them; a mask. */
enum control_queue {
    CONTROL_IN_INCOMING = 1,
    CONTROL_IN_ACTIVE = 2,
    CONTROL_IN_DEFERRED = 4,
    CONTROL_IN_HOLD = 8,
    CONTROL_IN_ALL = 15,
};

struct control_change {
    uint8_t action; /* enum control_action */
    uint8_t queues; /* enum control_queue */
    bool all;       /* every message in these queues */
    char **ids;     /* otherwise these */
    size_t id_count;
};

struct listed_recipient {
    char *address;
    char *reason; /* "" when there is none */
};

struct listed_message {
    char *queue_id;
    uint8_t queue; /* enum control_queue, one bit */
    bool forced_expire;
    int64_t arrival_s;
    uint64_t size;
    char *sender;
    struct listed_recipient *recipients;
    size_t recipient_count;
};

void control_change_encode(const struct control_change *change, struct str *out);
bool control_change_decode(struct slice body, struct arena *arena, struct control_change *change) MUST_CHECK;

/* Messages follow one another to the end of the record. */
void listed_message_encode(const struct listed_message *message, struct str *out);
bool listed_message_decode(struct ipc_reader *reader, struct arena *arena, struct listed_message *message) MUST_CHECK;
/* "incoming", "active", "deferred", "hold". */
const char *control_queue_name(uint8_t queue);

/* What postcat shows. */
struct control_content {
    uint8_t queue; /* enum control_queue */
    struct envelope envelope;
    bool *done;    /* parallel to envelope.recipients */
    uint64_t content_offset, content_size;
    bool in_file;  /* content is in the descriptor that comes along, at content_offset */
    struct slice content;
};
void control_content_encode(const struct control_content *content, struct str *out);
bool control_content_decode(struct ipc_reader *reader, struct arena *arena, struct control_content *content) MUST_CHECK;

#endif
