/* SPDX-License-Identifier: ISC */
/*
 * client_name: the name of a client. smtpd may open no socket, so until the resolver role answers such questions
 * only the loopback addresses have names: those of the hosts file, read once with the rights of the caller.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "smtpd/smtpd.h"

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

const char *client_name_lookup(const char *address, int64_t deadline UNUSED)
{
    if (!smtpd.looks_up_names)
        return "unknown";
    for (unsigned i = 0; i < 2; i++)
        if (strcmp(address, loopback[i].address) == 0 && loopback[i].name[0] != '\0')
            return loopback[i].name;
    return "unknown";
}
