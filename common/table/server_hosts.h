/* SPDX-License-Identifier: ISC */
/*
 * The "hosts" of a pgsql: or mysql: table: which one is tried when. A host that failed rests for a second, then longer; only
 * one connection at a time tries a host that has not answered yet, so a dead host costs one lookup some seconds
 * and the others nothing. Pure but for the clock; not locked.
 */
#ifndef POSTHORN_TABLE_SERVER_HOSTS_H
#define POSTHORN_TABLE_SERVER_HOSTS_H

#include <stdint.h>

#include "common/base/arena.h"

struct server_host {
    char *text;        /* as written, for warnings */
    char *name, *port; /* of unix: and inet:; port may be NULL */
    bool is_uri;       /* "postgresql://..." */
    bool is_unix;
    bool proven;       /* the last attempt succeeded */
    unsigned connecting;
    int64_t down_until;
    int64_t pause_ms;  /* before the next attempt; grows */
};

struct server_hosts {
    struct server_host *list;
    size_t count;
};

/* A list of "unix:/path", "inet:host:port", "host:port", "[::1]:port", "/path", "postgresql://..."; empty: localhost. */
void server_hosts_parse(struct server_hosts *hosts, const char *text, struct arena *arena);

/* Known good ones first, UNIX-domain sockets before others, else at random. NULL: none may be tried now. */
struct server_host *server_hosts_choose(const struct server_hosts *hosts);
/* Somebody's attempt is under way and may still prove a host good. */
bool server_hosts_connecting(const struct server_hosts *hosts);

void server_host_reached(struct server_host *host);
void server_host_failed(struct server_host *host, int64_t longest_pause_ms);

#endif
