/* SPDX-License-Identifier: ISC */
/*
 * sandbox: limits and capabilities of a role; Landlock is in sandbox_landlock.c, the system-call filter in
 * sandbox_seccomp.c. Called by role_start.c before the first untrusted byte. A capability that cannot be
 * dropped is fatal; a limit that cannot be set is a warning.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/process/role_internal.h"

static void limit(const struct sandbox *sandbox, __rlimit_resource_t resource, const char *what, rlim_t value)
{
    struct rlimit both = {value, value};
    if (setrlimit(resource, &both) < 0)
        log_warning("%s: cannot set the limit of %s to %llu: %s", sandbox->name, what,
                    (unsigned long long)value, strerror(errno));
}

/* More open files need root or a hard limit that allows them: take what there is, and say so. */
static void limit_open_files(const struct sandbox *sandbox, rlim_t wanted)
{
    struct rlimit now;
    if (wanted == 0)
        return;
    struct rlimit both = {wanted, wanted};
    if (setrlimit(RLIMIT_NOFILE, &both) == 0)
        return;
    if (getrlimit(RLIMIT_NOFILE, &now) < 0)
        log_fatal("getrlimit: %s", strerror(errno));
    if (now.rlim_max < wanted)
        log_warning("%s: only %llu open files are allowed here; %llu are wanted", sandbox->name,
                    (unsigned long long)now.rlim_max, (unsigned long long)wanted);
    limit(sandbox, RLIMIT_NOFILE, "open files", now.rlim_max);
}

void sandbox_limit(const struct sandbox *sandbox, size_t max_open_files)
{
    limit_open_files(sandbox, max_open_files);
    limit(sandbox, RLIMIT_CORE, "core file size", 0);
    if ((sandbox->rights & RIGHT_THREADS) == 0 && geteuid() == 0)
        limit(sandbox, RLIMIT_NPROC, "processes", 0);
}

static uint64_t wanted_capabilities(const struct sandbox *sandbox)
{
    if ((sandbox->rights & RIGHT_SET_IDS) == 0)
        return 0;
    return 1ull << CAP_SETUID | 1ull << CAP_SETGID | 1ull << CAP_CHOWN | 1ull << CAP_DAC_OVERRIDE |
           1ull << CAP_FOWNER;
}

static void read_capabilities(struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    if (syscall(SYS_capget, &header, data) < 0)
        log_fatal("capget: %s", strerror(errno));
}

/* Not root: nothing to drop, and no right to. */
static void bound_capabilities(uint64_t wanted)
{
    for (unsigned long cap = 0; cap <= 63; cap++)
        if ((wanted >> cap & 1) == 0 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
            if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
                log_fatal("cannot drop capability %lu: %s", cap, strerror(errno));
}

void sandbox_keep_capabilities(uint64_t wanted)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    bound_capabilities(wanted);
    read_capabilities(data);
    for (unsigned half = 0; half < 2; half++) {
        uint32_t mask = (uint32_t)(wanted >> (32 * half));
        data[half].permitted &= mask;
        data[half].effective = data[half].permitted;
        data[half].inheritable = 0;
    }
    if (syscall(SYS_capset, &header, data) < 0)
        log_fatal("cannot drop capabilities: %s", strerror(errno));
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
        log_fatal("cannot clear ambient capabilities: %s", strerror(errno));
    read_capabilities(data);
    if ((data[0].permitted & ~(uint32_t)wanted) != 0 || (data[1].permitted & ~(uint32_t)(wanted >> 32)) != 0)
        log_fatal("capabilities remain after they were dropped");
}

void sandbox_bound_capabilities(const struct sandbox *sandbox)
{
    bound_capabilities(wanted_capabilities(sandbox));
}

void sandbox_drop_capabilities(const struct sandbox *sandbox)
{
    sandbox_keep_capabilities(wanted_capabilities(sandbox));
}
