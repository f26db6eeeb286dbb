/* SPDX-License-Identifier: ISC */
/* The next hop of a delivery as transport(5) and lmtp(8) write it. Pure; fuzzed. */
#ifndef POSTHORN_SMTP_CLIENT_NEXT_HOP_H
#define POSTHORN_SMTP_CLIENT_NEXT_HOP_H

#include "common/base/arena.h"
#include "common/base/str.h"

struct smtp_next_hop {
    char *path;     /* unix:PATH, or NULL */
    char *host;     /* otherwise */
    unsigned port;  /* 0 with a path */
    char *endpoint; /* what the lookup role is asked to connect to: "unix:PATH", "inet:HOST:PORT" */
};

/*
 * Reads unix:PATH, inet:HOST:PORT, HOST, HOST:PORT, [HOST], [HOST]:PORT; an IPv6 address goes in brackets.
 * A missing port is default_port, a number or a well-known name. Everything lives in the arena.
 * False: *error says what is wrong.
 */
bool smtp_next_hop_parse(const char *text, const char *default_port, struct arena *arena,
                         struct smtp_next_hop *hop, const char **error) MUST_CHECK;

#endif
