/* SPDX-License-Identifier: ISC */
/*
 * What anvil(8) counts: connections at once, and events per anvil_rate_time_unit, of each client network
 * (smtpd_client_ipv4_prefix_length, smtpd_client_ipv6_prefix_length). One table a process, which is one service.
 * Bounded: when it is full, the network that was quiet longest is forgotten.
 */
#ifndef POSTHORN_SERVICE_RATE_H
#define POSTHORN_SERVICE_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/str.h"

enum rate_kind { RATE_CONNECTION, RATE_MESSAGE, RATE_RECIPIENT, RATE_TLS, RATE_AUTH, RATE_KIND_COUNT };

/* Text of a key: "192.0.2.1", "2001:db8::/84". */
#define RATE_TEXT_SIZE 56

struct rate_settings {
    int64_t time_unit_s;   /* anvil_rate_time_unit */
    int64_t report_time_s; /* anvil_status_update_time */
    int64_t idle_time_s;   /* a quiet service reports, too */
    unsigned ipv4_prefix, ipv6_prefix;
    size_t room;           /* networks remembered */
};

struct rate_client;

void rate_configure(const struct rate_settings *settings);

/* One more connection: counted as connection and as event. Lives at least until rate_disconnect(). NULL: not an address. */
struct rate_client *rate_connect(const char *address, int64_t now_s);
void rate_disconnect(struct rate_client *client, int64_t now_s); /* NULL is allowed */
/* Connections from this network at this moment. */
uint32_t rate_connections(const struct rate_client *client);
/* Counts one event; how many there were in this time unit. */
uint32_t rate_add(struct rate_client *client, enum rate_kind kind, int64_t now_s);
/* The same without counting. */
uint32_t rate_peek(const struct rate_client *client, enum rate_kind kind, int64_t now_s);

/* anvil's "statistics:" lines since the last call, each ended by LF. service: as logged in "for (smtp:192.0.2.1)". */
void rate_report(const char *service, struct str *out);
/* True when it is time for them. */
bool rate_report_is_due(int64_t now_s);
/* Networks remembered now: for tests. */
size_t rate_size(void);

#endif
