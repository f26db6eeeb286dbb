/* SPDX-License-Identifier: ISC */
/*
 * sandbox_landlock: which files a role may name, whether it may connect over TCP, and whom it may signal,
 * enforced by the kernel's Landlock (raw system calls; ABI 1 to 7, whatever the kernel has). What
 * an older kernel cannot restrict is still covered by the system-call filter; a kernel without
 * Landlock is one warning.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/process/role_internal.h"

/* Our own copy: the build machine's header may be older than the kernel we run on. */
enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_ABI_1 = (1 << 13) - 1,
    FS_REFER = 1 << 13,     /* ABI 2 */
    FS_TRUNCATE = 1 << 14,  /* ABI 3 */
    FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
    NET_BIND_TCP = 1 << 0,  /* ABI 4 */
    NET_CONNECT_TCP = 1 << 1,
    SCOPE_ABSTRACT_UNIX = 1 << 0, /* ABI 6 */
    SCOPE_SIGNAL = 1 << 1,
    LANDLOCK_GET_VERSION = 1,
    RULE_PATH_BENEATH = 1,
};

struct ruleset {
    uint64_t files;
    uint64_t net;
    uint64_t scoped;
};

struct path_rule {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static long landlock_create(const struct ruleset *ruleset, size_t size, unsigned flags)
{
    return syscall(444, ruleset, size, flags);
}

static uint64_t handled_files(long abi)
{
    uint64_t files = FS_ABI_1;
    files |= abi >= 2 ? FS_REFER : 0;
    files |= abi >= 3 ? FS_TRUNCATE : 0;
    files |= abi >= 5 ? FS_IOCTL_DEV : 0;
    return files;
}

static struct ruleset handled(long abi, unsigned rights)
{
    struct ruleset set = {.files = handled_files(abi)};
    if (abi >= 4)
        set.net = NET_BIND_TCP | ((rights & RIGHT_CONNECT_INET) != 0 ? 0u : (unsigned)NET_CONNECT_TCP);
    if (abi >= 6)
        set.scoped = SCOPE_SIGNAL | ((rights & RIGHT_CONNECT_UNIX) != 0 ? 0u : (unsigned)SCOPE_ABSTRACT_UNIX);
    return set;
}

static size_t ruleset_size(long abi)
{
    if (abi < 4)
        return sizeof(uint64_t);
    return abi < 6 ? 2 * sizeof(uint64_t) : 3 * sizeof(uint64_t);
}

static void allow_directory(const struct sandbox *sandbox, int ruleset, const char *path, uint64_t files)
{
    uint64_t allowed = FS_READ_FILE | FS_READ_DIR;
    if (sandbox->rights & RIGHT_WRITE_FILES)
        allowed = files & ~(uint64_t)(FS_EXECUTE | FS_IOCTL_DEV);
    int parent = open(path, O_PATH | O_CLOEXEC);
    if (parent < 0) { /* what does not exist (yet) stays out of reach; whoever wants it will say so */
        if (errno != ENOENT)
            log_warning("%s: %s stays out of reach: %s", sandbox->name, path, strerror(errno));
        return;
    }
    struct path_rule rule = {allowed, parent};
    if (syscall(445, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0 && errno == EINVAL) {
        /* Not a directory: only what makes sense for a file. */
        rule.allowed &= (uint64_t)(FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE);
        if (syscall(445, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0)
            log_warning("%s: Landlock refuses %s: %s", sandbox->name, path, strerror(errno));
    }
    close(parent);
}

void sandbox_landlock(const struct sandbox *sandbox)
{
    long abi = landlock_create(NULL, 0, LANDLOCK_GET_VERSION);
    if (abi < 1) {
        log_warning("%s: this kernel has no Landlock (%s): files are guarded by user id and system-call filter only",
                    sandbox->name, strerror(errno));
        return;
    }
    struct ruleset set = handled(abi, sandbox->rights);
    int ruleset = (int)landlock_create(&set, ruleset_size(abi), 0);
    if (ruleset < 0) {
        log_warning("%s: Landlock is not usable: %s", sandbox->name, strerror(errno));
        return;
    }
    bool files_wanted = (sandbox->rights & (RIGHT_READ_FILES | RIGHT_WRITE_FILES)) != 0;
    for (size_t i = 0; files_wanted && sandbox->directories != NULL && sandbox->directories[i] != NULL; i++)
        allow_directory(sandbox, ruleset, sandbox->directories[i], set.files);
    if (syscall(446, ruleset, 0) < 0)
        log_warning("%s: Landlock is not enforced: %s", sandbox->name, strerror(errno));
    close(ruleset);
}
