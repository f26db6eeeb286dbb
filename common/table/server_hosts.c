/* SPDX-License-Identifier: ISC */
/* server_hosts: called by pgsql_pool.c on the loop's thread, and by mysql_connection.c under its lock. */
#include "common/table/server_hosts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/clock.h"
#include "common/config/config.h"

#define FIRST_PAUSE_MS 1000

static void parse_inet(struct server_host *host)
{
    char *colon = strrchr(host->name, ':');
    char *bracket = strrchr(host->name, ']');
    if (colon != NULL && (bracket != NULL ? colon > bracket : strchr(host->name, ':') == colon)) {
        *colon = '\0';
        host->port = colon + 1;
    }
    if (bracket != NULL && host->name[0] == '[') {
        *bracket = '\0';
        host->name++;
    }
}

static void parse_host(struct server_host *host, const char *text, struct arena *arena)
{
    *host = (struct server_host){.text = arena_strdup(arena, text), .proven = true}; /* until it fails */
    host->is_uri = strncmp(text, "postgresql:", 11) == 0 || strncmp(text, "postgres:", 9) == 0;
    if (host->is_uri)
        return;
    if (strncmp(text, "unix:", 5) == 0 || strncmp(text, "inet:", 5) == 0)
        text += 5;
    host->name = arena_strdup(arena, text);
    host->is_unix = host->name[0] == '/' || host->name[0] == '@';
    if (!host->is_unix)
        parse_inet(host);
}

void server_hosts_parse(struct server_hosts *hosts, const char *text, struct arena *arena)
{
    char **items;
    hosts->count = config_split_list(text, arena, &items);
    if (hosts->count == 0)
        hosts->count = config_split_list("localhost", arena, &items);
    hosts->list = arena_alloc_array(arena, hosts->count, sizeof *hosts->list);
    for (size_t i = 0; i < hosts->count; i++)
        parse_host(&hosts->list[i], items[i], arena);
}

/* Where to begin: another place in each process, so that many of them share the load. */
static size_t any_place(size_t count)
{
    static uint64_t state;
    if (state == 0 && getrandom(&state, sizeof state, GRND_NONBLOCK) != (ssize_t)sizeof state)
        state = (uint64_t)clock_ms();
    state = state * 6364136223846793005U + 1442695040888963407U;
    return (size_t)(state >> 33) % count;
}

struct server_host *server_hosts_choose(const struct server_hosts *hosts)
{
    int64_t now = clock_ms();
    struct server_host *chosen = NULL;
    int best = -1;
    size_t start = any_place(hosts->count);
    for (size_t i = 0; i < hosts->count; i++) {
        struct server_host *host = &hosts->list[(start + i) % hosts->count];
        bool is_candidate = host->down_until <= now && (host->proven || host->connecting == 0);
        int rank = (host->proven ? 2 : 0) + (host->is_unix ? 1 : 0);
        if (is_candidate && rank > best) {
            chosen = host;
            best = rank;
        }
    }
    return chosen;
}

bool server_hosts_connecting(const struct server_hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++)
        if (hosts->list[i].connecting > 0)
            return true;
    return false;
}

void server_host_reached(struct server_host *host)
{
    host->proven = true;
    host->down_until = 0;
}

void server_host_failed(struct server_host *host, int64_t longest_pause_ms)
{
    if (clock_ms() < host->down_until) /* one of several that tried at once: they failed of one thing */
        return;
    host->pause_ms = host->proven || host->pause_ms == 0 ? FIRST_PAUSE_MS : host->pause_ms * 2;
    if (host->pause_ms > longest_pause_ms)
        host->pause_ms = longest_pause_ms;
    host->proven = false;
    host->down_until = clock_ms() + host->pause_ms;
}
