/* SPDX-License-Identifier: ISC */
/*
 * postscreen(8) inside the service: looks at a client before it may talk to the SMTP server. Most of the machines that
 * speak before their turn, or are on a block list, send nothing but spam; who passes is remembered in the `state` role.
 */
#ifndef POSTHORN_SERVICE_POSTSCREEN_H
#define POSTHORN_SERVICE_POSTSCREEN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config/config.h"

/* True when this service stands behind a postscreen in master.cf. Reads its settings; called by open(). */
bool postscreen_configure(const struct config *config);

struct postscreen_peer {
    const char *client_address, *client_port, *server_address, *server_port;
};

/* Screens one connection on its fiber. True: it is the SMTP server's now. False: it was told no and is closed. */
bool postscreen_admits(int fd, const struct postscreen_peer *peer);

/* postscreen_upstream_proxy_protocol: "" or "haproxy". */
bool postscreen_is_behind_proxy(int64_t *timeout_s);

#endif
