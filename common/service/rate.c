/* SPDX-License-Identifier: ISC */
/*
 * rate: the counters of anvil(8) inside the service. Called at every connection, MAIL, RCPT, STARTTLS and AUTH; no I/O
 * and no clock of its own. All counters of a network begin anew when its time unit is over, as anvil's do.
 */
#include "common/service/rate.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <uthash.h>

#include "common/base/mem.h"

struct rate_key {
    unsigned char family; /* 4 or 6 */
    unsigned char network[16];
};

struct rate_client {
    struct rate_key key;
    uint32_t connections;
    uint32_t counts[RATE_KIND_COUNT];
    int64_t start_s, last_s;
    UT_hash_handle hh;
    TAILQ_ENTRY(rate_client) link; /* in `quiet` while nobody is connected */
};
TAILQ_HEAD(quiet_list, rate_client);

struct peak {
    uint32_t value;
    struct rate_key key;
    int64_t when_s; /* wall clock */
};

static struct {
    struct rate_settings settings;
    struct rate_client *clients;
    struct quiet_list quiet; /* the quiet longest first */
    struct peak rates[RATE_KIND_COUNT], connections;
    uint32_t most_clients;
    int64_t most_clients_s;
    int64_t reported_s, last_event_s;
    uint32_t active; /* connections of all */
} state = {.quiet = TAILQ_HEAD_INITIALIZER(state.quiet)};

void rate_configure(const struct rate_settings *settings)
{
    state.settings = *settings;
}

size_t rate_size(void)
{
    return HASH_COUNT(state.clients);
}

/* --- keys --------------------------------------------------------------------------------- */

static void mask(unsigned char *network, unsigned bytes, unsigned prefix)
{
    for (unsigned i = 0; i < bytes; i++) {
        unsigned bits = prefix > i * 8 ? prefix - i * 8 : 0;
        network[i] = bits >= 8 ? network[i] : (unsigned char)(network[i] & (0xff00u >> bits));
    }
}

static bool key_of(const char *address, struct rate_key *key)
{
    *key = (struct rate_key){.family = 4};
    if (inet_pton(AF_INET, address, key->network) == 1) {
        mask(key->network, 4, state.settings.ipv4_prefix);
        return true;
    }
    key->family = 6;
    if (inet_pton(AF_INET6, address, key->network) != 1)
        return false;
    mask(key->network, 16, state.settings.ipv6_prefix);
    return true;
}

static void key_text(const struct rate_key *key, char text[RATE_TEXT_SIZE])
{
    unsigned whole = key->family == 4 ? 32 : 128;
    unsigned prefix = key->family == 4 ? state.settings.ipv4_prefix : state.settings.ipv6_prefix;
    char address[INET6_ADDRSTRLEN];
    if (inet_ntop(key->family == 4 ? AF_INET : AF_INET6, key->network, address, sizeof address) == NULL)
        address[0] = '\0';
    if (prefix == whole)
        snprintf(text, RATE_TEXT_SIZE, "%s", address);
    else
        snprintf(text, RATE_TEXT_SIZE, "%s/%u", address, prefix);
}

/* --- counting --------------------------------------------------------------------------------- */

static void forget(struct rate_client *client)
{
    TAILQ_REMOVE(&state.quiet, client, link);
    HASH_DEL(state.clients, client);
    free(client);
}

/* What is over is forgotten, a little with each connection; and when there is no room, whoever was quiet longest. */
static void make_room(int64_t now_s)
{
    for (unsigned i = 0; i < 4; i++) {
        struct rate_client *oldest = TAILQ_FIRST(&state.quiet);
        bool is_over = oldest != NULL && oldest->last_s + state.settings.time_unit_s < now_s;
        if (oldest == NULL || (!is_over && rate_size() < state.settings.room))
            return;
        forget(oldest);
    }
}

static bool is_stale(const struct rate_client *client, int64_t now_s)
{
    return client->start_s + state.settings.time_unit_s < now_s;
}

static void note_peak(struct peak *peak, uint32_t value, const struct rate_client *client)
{
    if (value > peak->value)
        *peak = (struct peak){value, client->key, (int64_t)time(NULL)};
}

uint32_t rate_add(struct rate_client *client, enum rate_kind kind, int64_t now_s)
{
    if (is_stale(client, now_s)) {
        memset(client->counts, 0, sizeof client->counts);
        client->start_s = now_s;
    }
    if (client->counts[kind] < UINT32_MAX)
        client->counts[kind]++;
    state.last_event_s = now_s;
    note_peak(&state.rates[kind], client->counts[kind], client);
    return client->counts[kind];
}

uint32_t rate_peek(const struct rate_client *client, enum rate_kind kind, int64_t now_s)
{
    return is_stale(client, now_s) ? 0 : client->counts[kind];
}

uint32_t rate_connections(const struct rate_client *client)
{
    return client->connections;
}

struct rate_client *rate_connect(const char *address, int64_t now_s)
{
    struct rate_key key;
    struct rate_client *client;
    if (!key_of(address, &key))
        return NULL;
    make_room(now_s);
    HASH_FIND(hh, state.clients, &key, sizeof key, client);
    if (client == NULL) {
        client = mem_alloc(sizeof *client);
        client->key = key;
        client->start_s = now_s;
        HASH_ADD(hh, state.clients, key, sizeof key, client);
        if (rate_size() > state.most_clients) {
            state.most_clients = (uint32_t)rate_size();
            state.most_clients_s = (int64_t)time(NULL);
        }
    } else if (client->connections == 0)
        TAILQ_REMOVE(&state.quiet, client, link);
    client->connections++;
    state.active++;
    rate_add(client, RATE_CONNECTION, now_s);
    note_peak(&state.connections, client->connections, client);
    return client;
}

void rate_disconnect(struct rate_client *client, int64_t now_s)
{
    if (client == NULL)
        return;
    client->last_s = now_s;
    state.last_event_s = now_s;
    state.active--;
    if (--client->connections == 0)
        TAILQ_INSERT_TAIL(&state.quiet, client, link);
}

/* --- statistics ----------------------------------------------------------------------------------- */

bool rate_report_is_due(int64_t now_s)
{
    if (state.reported_s == 0)
        state.reported_s = now_s;
    bool is_idle = state.active == 0 && now_s - state.last_event_s >= state.settings.idle_time_s;
    if (!is_idle && now_s - state.reported_s < state.settings.report_time_s)
        return false;
    state.reported_s = now_s;
    return true;
}

static const char *stamp(int64_t when_s, char text[32])
{
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t when = (time_t)when_s;
    struct tm parts;
    localtime_r(&when, &parts);
    snprintf(text, 32, "%s %2d %02d:%02d:%02d", months[parts.tm_mon], parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    return text;
}

static void report_rate(enum rate_kind kind, const char *service, struct str *out)
{
    static const char *const names[RATE_KIND_COUNT] = {"connection", "message", "recipient", "newtls", "auth"};
    char network[RATE_TEXT_SIZE], when[32];
    struct peak *peak = &state.rates[kind];
    if (peak->value == 0)
        return;
    key_text(&peak->key, network);
    str_printf(out, "statistics: max %s rate %u/%llds for (%s:%s) at %s\n", names[kind], peak->value,
               (long long)state.settings.time_unit_s, service, network, stamp(peak->when_s, when));
    peak->value = 0;
}

void rate_report(const char *service, struct str *out)
{
    char network[RATE_TEXT_SIZE], when[32];
    report_rate(RATE_CONNECTION, service, out);
    if (state.connections.value > 0) {
        key_text(&state.connections.key, network);
        str_printf(out, "statistics: max connection count %u for (%s:%s) at %s\n", state.connections.value, service,
                   network, stamp(state.connections.when_s, when));
        state.connections.value = 0;
    }
    for (unsigned kind = RATE_MESSAGE; kind < RATE_KIND_COUNT; kind++)
        report_rate((enum rate_kind)kind, service, out);
    if (state.most_clients > 0)
        str_printf(out, "statistics: max cache size %u at %s\n", state.most_clients, stamp(state.most_clients_s, when));
    state.most_clients = 0;
}
