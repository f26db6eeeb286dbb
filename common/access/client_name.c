/* SPDX-License-Identifier: ISC */
/*
 * client_name: the name of a client. The resolver finds and verifies it; the loopback addresses have the names of the
 * hosts file, read once with the rights of the caller, and wait for no name server.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/access/access.h"

static struct {
    const char *address;
    char name[256];
} loopback[2] = {{"127.0.0.1", ""}, {"::1", ""}};

static void read_line(char *line)
{
    struct slice rest = slice_of(line), address, name;
    line[strcspn(line, "#\n")] = '\0';
    rest.len = strlen(line);
    if (!slice_next_token(&rest, " \t", &address) || !slice_next_token(&rest, " \t", &name))
        return;
    for (unsigned i = 0; i < 2; i++)
        if (slice_equal(address, slice_of(loopback[i].address)) && loopback[i].name[0] == '\0' &&
            name.len < sizeof loopback[i].name)
            memcpy(loopback[i].name, name.data, name.len);
}

void client_name_open(void)
{
    char line[1024];
    FILE *file = fopen("/etc/hosts", "re");
    if (file == NULL) {
        if (errno != ENOENT)
            log_warning("open /etc/hosts: %m");
        return;
    }
    while (fgets(line, sizeof line, file) != NULL)
        read_line(line);
    if (ferror(file) || fclose(file) != 0)
        log_warning("read /etc/hosts: %m");
}

static void set_names(struct smtpd_client *client, const char *name, const char *reverse_name)
{
    client->name = mem_strdup(name);
    client->reverse_name = mem_strdup(reverse_name);
}

static bool is_in_hosts_file(struct smtpd_client *client, const char *address)
{
    for (unsigned i = 0; i < 2; i++)
        if (strcmp(address, loopback[i].address) == 0 && loopback[i].name[0] != '\0') {
            set_names(client, loopback[i].name, loopback[i].name);
            client->name_status = client->reverse_status = PEERNAME_OK;
            return true;
        }
    return false;
}

void client_name_lookup(struct smtpd_client *client, const char *address)
{
    struct dns_peername peer = {.status = PEERNAME_NONE, .reverse_status = PEERNAME_NONE, .name = (char *)"unknown",
                                .reverse_name = (char *)"unknown", .warning = (char *)""};
    if (smtpd.looks_up_names && is_in_hosts_file(client, address))
        return;
    struct arena *arena = arena_new();
    if (smtpd.looks_up_names)
        resolver_peername(address, arena, &peer);
    if (*peer.warning != '\0')
        log_warning("%s", peer.warning);
    set_names(client, peer.name, peer.reverse_name);
    client->name_status = peer.status;
    client->reverse_status = peer.reverse_status;
    arena_free(arena);
}

void client_name_forget(struct smtpd_client *client)
{
    free(client->name);
    free(client->reverse_name);
}
