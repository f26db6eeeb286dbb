/* SPDX-License-Identifier: ISC */
/*
 * Connections to a server that answers one question after the other (socketmap:, tcp:): a few per server, shared by all
 * tables and fibers that ask it; waiting lookups get the next free one in the order they came.
 */
#ifndef POSTHORN_TABLE_TABLE_SERVER_H
#define POSTHORN_TABLE_TABLE_SERVER_H

#include "common/base/stream.h"
#include "common/config/config.h"

struct table_server;

/* endpoint: "inet:host:port" or "unix:path" (relative to queue_directory). NULL with *error; connects later. */
struct table_server *table_server_open(const char *endpoint, const struct config *config, char **error);
void table_server_close(struct table_server *server);
const char *table_server_endpoint(const struct table_server *server);

/*
 * Says query and reads an answer: read() returns IO_OK when it has a whole one, in whatever context is; a status other
 * than IO_OK ends the connection. A connection that turns out to be closed before the answer began is
 * replaced once. False with *error (malloc'd), at the deadline at the latest.
 */
typedef enum io_status table_server_read(struct stream *stream, void *context, int64_t deadline);
bool table_server_ask(struct table_server *server, struct slice query, table_server_read *read, void *context,
                      char **error, int64_t deadline) MUST_CHECK;

#endif
