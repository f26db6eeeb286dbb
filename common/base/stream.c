/* SPDX-License-Identifier: ISC */
/*
 * stream: buffered reading and writing on a fiber. Used by every session and every client.
 */
#include "common/base/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/mem.h"

#define LOOK_AGAIN_MS 1000
#define SPARE_BUFFERS 64 /* input buffers kept for the next session that wakes up */

static char *spare[SPARE_BUFFERS];
static size_t spare_count;

static enum io_status io_status_of_wait(enum wait_status status)
{
    return status == WAIT_OK ? IO_OK : status == WAIT_TIMEOUT ? IO_TIMEOUT : IO_CANCELLED;
}

/* --- buffers ------------------------------------------------------------------ */

static void stream_take_buffer(struct stream *stream)
{
    if (stream->in != NULL)
        return;
    stream->in = spare_count > 0 ? spare[--spare_count] : mem_realloc_array(NULL, STREAM_IN_SIZE, 1);
    stream->in_size = STREAM_IN_SIZE;
    stream->in_start = stream->in_end = 0;
}

static void stream_drop_buffer(struct stream *stream)
{
    if (stream->in == NULL)
        return;
    if (spare_count < SPARE_BUFFERS)
        spare[spare_count++] = stream->in;
    else
        free(stream->in);
    stream->in = NULL;
    stream->in_start = stream->in_end = 0;
}

static void stream_compact(struct stream *stream)
{
    if (stream->in_start == 0)
        return;
    memmove(stream->in, stream->in + stream->in_start, stream->in_end - stream->in_start);
    stream->in_end -= stream->in_start;
    stream->in_start = 0;
}

/* --- life ------------------------------------------------------------------------ */

void stream_init(struct stream *stream, int fd)
{
    *stream = (struct stream){0};
    fiber_fd_init(&stream->handle, fd);
}

void stream_close(struct stream *stream)
{
    if (stream->transport != NULL && stream->transport->close != NULL)
        stream->transport->close(stream->transport_context);
    stream->transport = NULL;
    if (stream->handle.fd >= 0)
        fiber_fd_close(&stream->handle);
    stream_drop_buffer(stream);
    str_free(&stream->out);
}

void stream_set_transport(struct stream *stream, const struct stream_transport *transport, void *context)
{
    stream->transport = transport;
    stream->transport_context = context;
    stream->drained = false;
}

size_t stream_discard_input(struct stream *stream)
{
    size_t count = stream->in_end - stream->in_start;
    stream->in_start = stream->in_end = 0;
    return count;
}

/* --- writing ----------------------------------------------------------------------- */

void stream_put(struct stream *stream, struct slice text)
{
    str_append_slice(&stream->out, text);
}

void stream_printf(struct stream *stream, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    str_vprintf(&stream->out, fmt, args);
    va_end(args);
}

size_t stream_pending_output(const struct stream *stream)
{
    return stream->out.len;
}

/* One attempt to send two pieces as one. */
static ssize_t stream_send(struct stream *stream, struct slice first, struct slice second, int *want)
{
    *want = FIBER_WRITE;
    if (stream->transport != NULL) {
        struct slice piece = first.len > 0 ? first : second;
        return stream->transport->write(stream->transport_context, stream->handle.fd, piece.data,
                                        piece.len, want);
    }
    struct iovec pieces[2] = {{(void *)first.data, first.len}, {(void *)second.data, second.len}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
    return sendmsg(stream->handle.fd, &message, MSG_NOSIGNAL);
}

enum io_status stream_write(struct stream *stream, struct slice bytes, int64_t deadline)
{
    struct slice head = str_slice(&stream->out);
    while (head.len + bytes.len > 0) {
        int want;
        ssize_t n = stream_send(stream, head, bytes, &want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            enum io_status status = io_status_of_wait(fiber_wait_fd(&stream->handle, want, deadline));
            if (status != IO_OK)
                return status;
            continue;
        }
        if (n < 0) {
            stream->error = errno;
            return errno == EPIPE || errno == ECONNRESET ? IO_EOF : IO_ERROR;
        }
        size_t from_head = (size_t)n < head.len ? (size_t)n : head.len;
        head = slice_skip(head, from_head);
        bytes = slice_skip(bytes, (size_t)n - from_head);
    }
    if (stream->out.cap > STREAM_IN_SIZE)
        str_free(&stream->out);
    else
        str_clear(&stream->out);
    return IO_OK;
}

enum io_status stream_flush(struct stream *stream, int64_t deadline)
{
    if (stream->out.len == 0)
        return IO_OK;
    return stream_write(stream, slice_range(NULL, 0), deadline);
}

/* --- reading ------------------------------------------------------------------------- */

struct slice stream_buffered(const struct stream *stream)
{
    if (stream->in == NULL)
        return slice_range(NULL, 0);
    return slice_range(stream->in + stream->in_start, stream->in_end - stream->in_start);
}

void stream_consume(struct stream *stream, size_t count)
{
    stream->in_start += count;
    if (stream->in_start >= stream->in_end)
        stream->in_start = stream->in_end = 0;
}

void stream_wipe_consumed(struct stream *stream)
{
    if (stream->in == NULL)
        return;
    mem_wipe(stream->in, stream->in_start);
    mem_wipe(stream->in + stream->in_end, stream->in_size - stream->in_end);
}

static ssize_t stream_receive(struct stream *stream, int *want)
{
    char *space = stream->in + stream->in_end;
    size_t room = stream->in_size - stream->in_end;
    *want = FIBER_READ;
    if (stream->transport != NULL)
        return stream->transport->read(stream->transport_context, stream->handle.fd, space, room, want);
    ssize_t n = recv(stream->handle.fd, space, room, 0);
    stream->drained = n > 0 && (size_t)n < room && !stream->handle.peer_closed;
    return n;
}

static enum io_status stream_wait_input(struct stream *stream, int want, int64_t deadline)
{
    if (stream->in_start == stream->in_end)
        stream_drop_buffer(stream); /* an idle session holds no buffer */
    stream->drained = false;
    return io_status_of_wait(fiber_wait_fd(&stream->handle, want, deadline));
}

enum io_status stream_fill(struct stream *stream, int64_t deadline)
{
    enum io_status status;
    if (stream->in != NULL && stream->in_end - stream->in_start == stream->in_size)
        return IO_TOO_LONG;
    /* Edge-triggered: after a short read nothing is left, and more will be announced. Outside a
     * fiber poll() is level-triggered, and waiting first is as right. */
    if (stream->drained && stream->handle.event != NULL && !stream->handle.peer_closed) {
        /* An error that came together with the last bytes is told as one event, which libevent does not show to be the
         * end: so look once more after a moment, and wait without a hurry only then. */
        int64_t soon = deadline_in_ms(LOOK_AGAIN_MS);
        status = stream_wait_input(stream, FIBER_READ, deadline < soon ? deadline : soon);
        if (status != IO_OK && (status != IO_TIMEOUT || deadline <= soon))
            return status;
    }
    for (;;) {
        int want;
        stream_take_buffer(stream);
        stream_compact(stream);
        ssize_t n = stream_receive(stream, &want);
        if (n > 0) {
            stream->in_end += (size_t)n;
            return IO_OK;
        }
        if (n == 0)
            return IO_EOF;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN) {
            stream->error = errno;
            return errno == ECONNRESET ? IO_EOF : IO_ERROR;
        }
        status = stream_wait_input(stream, want, deadline);
        if (status != IO_OK)
            return status;
    }
}

bool stream_has_input(struct stream *stream)
{
    if (stream->in_end > stream->in_start)
        return true;
    if (stream->transport != NULL)
        return stream->transport->has_input != NULL && stream->transport->has_input(stream->transport_context);
    struct pollfd poller = {.fd = stream->handle.fd, .events = POLLIN};
    return poll(&poller, 1, 0) > 0;
}

enum io_status stream_read_line(struct stream *stream, size_t max, struct slice *line, bool *bare_lf,
                                int64_t deadline)
{
    size_t searched = 0;
    for (;;) {
        struct slice have = stream_buffered(stream);
        const char *end = have.len > searched ? memchr(have.data + searched, '\n', have.len - searched) : NULL;
        if (end != NULL) {
            size_t len = (size_t)(end - have.data);
            bool has_cr = len > 0 && have.data[len - 1] == '\r';
            *line = slice_range(have.data, has_cr ? len - 1 : len);
            if (line->len > max)
                return IO_TOO_LONG;
            if (bare_lf != NULL)
                *bare_lf = !has_cr;
            stream->in_start += len + 1; /* the bytes stay in place until the next fill */
            return IO_OK;
        }
        if (have.len > max + 1)
            return IO_TOO_LONG;
        searched = have.len;
        enum io_status status = stream_fill(stream, deadline);
        if (status != IO_OK)
            return status;
    }
}
