/* SPDX-License-Identifier: ISC */
/*
 * Reading messages back: from a file of their own or from their place in the journal. Everything read
 * lives in the caller's arena. Used when a deferred message gets its turn, at start-up, and by commands.
 */
#ifndef POSTHORN_SPOOL_MESSAGE_FILE_H
#define POSTHORN_SPOOL_MESSAGE_FILE_H

#include "common/mail/envelope.h"
#include "common/spool/frame.h"

enum stored_status {
    STORED_OK = 0,
    STORED_MISSING,  /* no such file */
    STORED_FOREIGN,  /* not a file of ours: leave it alone */
    STORED_UNSEALED, /* no header yet: never acknowledged */
    STORED_DAMAGED,
    STORED_ERROR,    /* errno */
};

/* A recipient's state from earlier attempts. */
struct stored_recipient {
    bool done;
    char *dsn, *reason, *remote_host, *diagnostic; /* NULL: never tried */
};

struct stored_message {
    struct frame frame;
    struct envelope envelope;
    struct stored_recipient *recipients; /* envelope.recipient_count of them */
    uint8_t retry_flags;
    uint64_t content_offset; /* in the file */
    uint64_t file_end;       /* where the next frame of state goes */
};

/* From an open file. Content is not read. */
enum stored_status message_file_read(int fd, struct arena *arena, struct stored_message *message) MUST_CHECK;
/* Opens path below directory for reading and reads it; *fd is open when the status is STORED_OK. */
enum stored_status message_file_open(int directory, const char *path, struct arena *arena,
                                     struct stored_message *message, int *fd) MUST_CHECK;
/* From a whole frame in memory. */
enum stored_status message_from_frame(struct slice bytes, struct arena *arena, struct stored_message *message) MUST_CHECK;
/* Takes in a DONE or STATE frame. */
bool message_apply(struct stored_message *message, const struct frame *frame, struct arena *arena) MUST_CHECK;
/* Whether the content in the file is what was written. */
enum stored_status message_file_verify(int fd, const struct stored_message *message) MUST_CHECK;

/*
 * The whole small frame of a message (header, content, envelope, padding), to be released with free().
 * Its checksum is not there yet: journal_add() or message_file_header() completes it.
 */
unsigned char *message_build_frame(const struct envelope *envelope, uint32_t serial, struct slice content,
                                   uint64_t content_hash, uint32_t *size);
/* The header of a message's own file. */
void message_file_header(uint32_t serial, int64_t time_us, uint64_t content_size, uint64_t content_hash,
                         struct slice envelope, unsigned char header[FRAME_HEADER_SIZE]);
/* The state of all recipients as frames to append; nothing is appended when there is nothing to say. */
void message_state_frames(uint32_t serial, const struct stored_recipient *recipients, size_t count,
                          uint8_t retry_flags, struct str *out);

#endif
