/* SPDX-License-Identifier: ISC */
/*
 * The server side of TLS for one service (smtpd, submission): one instance a process. The handshake runs on the
 * session's fiber; afterwards the stream reads and writes through it as before.
 */
#ifndef POSTHORN_TLS_SERVER_H
#define POSTHORN_TLS_SERVER_H

#include "common/base/stream.h"
#include "common/process/ipc.h"
#include "common/tls/settings.h"
#include "common/tls/tls_peer.h"

/* Reads the settings, while files can be opened. service is borrowed. */
void tls_server_open(const struct config *config, const char *service);
/* Confined: asks keys for the certificates; waits a few seconds for them at most, and goes on asking afterwards. */
void tls_server_start(void);
const struct tls_settings *tls_server_settings(void);

/* The service's edge to keys, and what to do when a channel to it was opened. */
const struct ipc_edge *tls_server_edge(void);
void tls_server_peer_opened(void);

/* A handshake is possible now. */
bool tls_server_is_ready(void);

/*
 * Makes the handshake, within smtpd_starttls_timeout, and puts TLS below the stream. client is "name[address]", for the
 * log. *peer lives until stream_close(). False: the connection is of no more use; logged.
 */
bool tls_server_accept(struct stream *stream, const char *client, const struct tls_peer **peer) MUST_CHECK;

/*
 * Channel binding (RFC 5056), by which a SASL mechanism ties a login to this very connection: tls-exporter (RFC 9266), or
 * tls-unique (RFC 5929) before TLS 1.3. Returns its length; 0: there is none that is safe.
 */
#define TLS_BINDING_SIZE 64
size_t tls_server_channel_binding(const struct stream *stream, const char **type, unsigned char data[TLS_BINDING_SIZE]);

/* tls_fast_shutdown_enable = no: says goodbye and waits for the client to do so. */
void tls_server_finish(struct stream *stream, int64_t deadline);

#endif
