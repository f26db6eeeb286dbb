/* SPDX-License-Identifier: ISC */
/*
 * virtual settings: reads the virtual_ parameters once at start. What cannot work defers mail instead of
 * ending the process: master.cf lists this service on machines that never use it.
 */
#include <errno.h>
#include <sys/utsname.h>

#include "common/base/log.h"
#include "virtual/virtual.h"

struct virtual_settings virtual_settings;

static unsigned settings_locks(const char *words, const char **problem)
{
    struct slice rest = slice_of(words), word;
    unsigned locks = 0;
    while (slice_next_token(&rest, ", \t\r\n", &word)) {
        if (slice_equal(word, SLICE("fcntl")))
            locks |= LOCK_FCNTL;
        else if (slice_equal(word, SLICE("flock")))
            locks |= LOCK_FLOCK;
        else if (slice_equal(word, SLICE("dotlock")))
            locks |= LOCK_DOTLOCK;
        else
            *problem = "virtual_mailbox_lock names an unknown kind of lock";
    }
    return locks;
}

/* maildir(5): '/' and ':' in a host name would break file names. */
static void settings_host_name(char *out, size_t size)
{
    struct utsname names;
    size_t len = 0;
    if (uname(&names) < 0)
        log_fatal("uname: %s", strerror(errno));
    for (const char *p = names.nodename; *p != '\0' && len + 5 < size; p++) {
        if (*p == '/' || *p == ':') {
            memcpy(out + len, *p == '/' ? "\\057" : "\\072", 4);
            len += 4;
        } else {
            out[len++] = *p;
        }
    }
    out[len] = '\0';
}

void virtual_settings_load(const struct config *config)
{
    const char *problem = NULL;
    unsigned locks = settings_locks(config_string(config, "virtual_mailbox_lock"), &problem);
    virtual_settings = (struct virtual_settings){
        .base = config_string(config, "virtual_mailbox_base"),
        .mailbox_maps = config_string(config, "virtual_mailbox_maps"),
        .uid_maps = config_string(config, "virtual_uid_maps"),
        .gid_maps = config_string(config, "virtual_gid_maps"),
        .minimum_uid = (uint64_t)config_int(config, "virtual_minimum_uid"),
        .mailbox_limit = (uint64_t)config_int(config, "virtual_mailbox_limit"),
        .locks = locks,
        .problem = problem,
        .lock_attempts = (unsigned)config_int(config, "deliver_lock_attempts"),
        .lock_delay = config_seconds(config, "deliver_lock_delay"),
        .stale_lock_time = config_seconds(config, "stale_lock_time"),
        .strict_ownership = config_bool(config, "strict_mailbox_ownership"),
        .adds_original = config_bool(config, "enable_original_recipient"),
    };
    settings_host_name(virtual_settings.host_name, sizeof virtual_settings.host_name);
    uint64_t message_limit = (uint64_t)config_int(config, "message_size_limit");
    if (virtual_settings.base[0] != '/')
        virtual_settings.problem = "virtual_mailbox_base is not an absolute path name";
    else if (virtual_settings.mailbox_limit > 0 &&
             (message_limit == 0 || virtual_settings.mailbox_limit < message_limit))
        virtual_settings.problem = "virtual_mailbox_limit is smaller than message_size_limit";
}
