/* SPDX-License-Identifier: ISC */
/*
 * A buffered byte stream over a socket, for protocols that talk in lines. Buffers exist only while
 * they hold something, so an idle session costs no buffer. Every call that may wait takes a deadline.
 *
 * TLS slips in below the buffers: stream_set_transport() replaces read and write (common/tls).
 */
#ifndef POSTHORN_BASE_STREAM_H
#define POSTHORN_BASE_STREAM_H

#include <sys/types.h>

#include "common/base/fiber.h"
#include "common/base/status.h"
#include "common/base/str.h"

/* How bytes get to and from the descriptor. Each returns bytes moved, 0 at end of file, or -1 with
 * errno; EAGAIN with *want = FIBER_READ or FIBER_WRITE says what to wait for. */
struct stream_transport {
    ssize_t (*read)(void *context, int fd, void *data, size_t len, int *want);
    ssize_t (*write)(void *context, int fd, const void *data, size_t len, int *want);
    /* Something can be read without waiting. NULL: nothing is known of it. */
    bool (*has_input)(void *context);
    void (*close)(void *context);
};

struct stream {
    struct fiber_fd handle;
    const struct stream_transport *transport; /* NULL: the plain socket */
    void *transport_context;
    struct str out;
    char *in; /* NULL while empty */
    size_t in_start;
    size_t in_end;
    size_t in_size;
    bool drained; /* the last read took all there was: wait before the next */
    int error;    /* errno of the last IO_ERROR */
};

#define STREAM_IN_SIZE 16384 /* also the longest line that stream_read_line can return */

void stream_init(struct stream *stream, int fd); /* fd: non-blocking, owned by the stream now */
void stream_close(struct stream *stream);        /* drops unsent output */
void stream_set_transport(struct stream *stream, const struct stream_transport *transport, void *context);
/* Throws away input that has arrived but was not read (after STARTTLS). Returns how much it was. */
size_t stream_discard_input(struct stream *stream);

/* Appends to the output buffer; nothing leaves before stream_flush(). */
void stream_put(struct stream *stream, struct slice text);
void stream_printf(struct stream *stream, const char *fmt, ...) PRINTF_LIKE(2, 3);
size_t stream_pending_output(const struct stream *stream);
enum io_status stream_flush(struct stream *stream, int64_t deadline) MUST_CHECK;
/* Output that is large: flushes what is buffered together with these bytes. */
enum io_status stream_write(struct stream *stream, struct slice bytes, int64_t deadline) MUST_CHECK;

/* Bytes that are buffered now, without any system call. */
struct slice stream_buffered(const struct stream *stream);
/* Marks so many of them as read. */
void stream_consume(struct stream *stream, size_t count);
/* Overwrites what was read and consumed: it held a password. Before the next wait. */
void stream_wipe_consumed(struct stream *stream);
/* Waits until more bytes are buffered than there are now. IO_TOO_LONG: the buffer is full. */
enum io_status stream_fill(struct stream *stream, int64_t deadline) MUST_CHECK;
/* True when a byte can be read at once (buffered, or in the kernel): for pipelining checks. */
bool stream_has_input(struct stream *stream);

/*
 * One line without its end. The slice is valid until the next call. *bare_lf (may be NULL) tells
 * whether it ended in LF without CR. A line longer than max gives IO_TOO_LONG and stays buffered.
 * max must be below STREAM_IN_SIZE - 2.
 */
enum io_status stream_read_line(struct stream *stream, size_t max, struct slice *line, bool *bare_lf,
                                int64_t deadline) MUST_CHECK;

#endif
