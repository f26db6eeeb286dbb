/* SPDX-License-Identifier: ISC */
/*
 * proxy_read: waits for a PROXY header and takes it off the connection. It is looked at (MSG_PEEK) until it is complete,
 * however many packets it comes in, so that what follows it is left to the SMTP dialogue or to TLS.
 */
#include "common/service/proxy_read.h"

#include <errno.h>
#include <sys/socket.h>

#include "common/base/log.h"
#include "common/smtp/server/session.h"

static void complain(const char *component, const char *error, struct slice bytes)
{
    struct str text = STR_EMPTY;
    text_escape(bytes, &text);
    log_warning_as(component, "haproxy read: %s: %s", error, str_text(&text));
    str_free(&text);
}

/* More than `seen` bytes; fewer when the peer closed or the time is over: then *status says so. */
static size_t peek_more(struct fiber_fd *connection, char *bytes, size_t seen, int64_t deadline, enum wait_status *status)
{
    for (;;) {
        ssize_t n = recv(connection->fd, bytes, PROXY_HEADER_LIMIT, MSG_PEEK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && errno != EAGAIN) || (n > 0 && (size_t)n <= seen && connection->peer_closed)) {
            *status = WAIT_CANCELLED; /* nothing more will come */
            return n > 0 ? (size_t)n : 0;
        }
        if (n > 0 && (size_t)n > seen)
            return (size_t)n;
        *status = fiber_wait_fd(connection, FIBER_READ, deadline);
        if (*status != WAIT_OK)
            return seen;
    }
}

bool proxy_read(struct fiber_fd *connection, const char *component, int64_t timeout_s, bool use_ipv4, bool use_ipv6,
                struct proxy_header *header)
{
    int64_t deadline = deadline_in_s(timeout_s);
    char bytes[PROXY_HEADER_LIMIT];
    enum wait_status wait = WAIT_OK;
    enum proxy_status status = PROXY_MORE;
    size_t seen = 0;
    while (status == PROXY_MORE && wait == WAIT_OK) {
        seen = peek_more(connection, bytes, seen, deadline, &wait);
        status = proxy_header_parse(slice_range(bytes, seen), use_ipv4, use_ipv6, header);
    }
    if (status == PROXY_OK && recv(connection->fd, bytes, header->size, 0) == (ssize_t)header->size)
        return true;
    if (wait == WAIT_TIMEOUT && seen == 0)
        log_warning_as(component, strcmp(component, "postscreen") == 0 ? "haproxy read: time limit exceeded" :
                                                                         "haproxy read: timeout error");
    else if (seen == 0)
        log_warning_as(component, "haproxy read: EOF");
    else
        complain(component, header->error != NULL ? header->error : "short protocol header", slice_range(bytes, seen));
    return false;
}
