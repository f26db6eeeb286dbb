/* SPDX-License-Identifier: ISC */
/*
 * virtual owner: file operations with the mailbox owner's ids, so that quotas count and permissions hold.
 * Started by root, the role keeps CAP_SETUID and CAP_SETGID and nothing else: with CAP_DAC_OVERRIDE, acting as
 * the owner would be a pretence. Failing to come back ends the process.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/log.h"
#include "virtual/virtual.h"

static uid_t own_uid;
static gid_t own_gid;
static bool may_change;

void owner_start(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    const uint32_t wanted = 1u << CAP_SETUID | 1u << CAP_SETGID;
    own_uid = geteuid();
    own_gid = getegid();
    if (syscall(SYS_capget, &header, data) < 0) {
        log_warning("cannot read capabilities: %s", strerror(errno));
        return;
    }
    may_change = (data[0].permitted & wanted) == wanted;
    data[0].permitted &= wanted;
    data[0].effective = data[0].permitted;
    data[1].permitted = data[1].effective = 0;
    if (may_change && syscall(SYS_capset, &header, data) < 0)
        log_fatal("cannot give up capabilities: %s", strerror(errno));
}

bool owner_is_possible(uid_t uid, gid_t gid)
{
    return may_change || (uid == own_uid && gid == own_gid);
}

void owner_become(uid_t uid, gid_t gid)
{
    if (!may_change)
        return;
    if (setgroups(1, &gid) < 0 || setresgid((gid_t)-1, gid, (gid_t)-1) < 0 ||
        setresuid((uid_t)-1, uid, (uid_t)-1) < 0)
        log_fatal("cannot act as user %lu, group %lu: %s", (unsigned long)uid, (unsigned long)gid,
                  strerror(errno));
}

void owner_return(void)
{
    int saved = errno; /* callers look at it after coming back */
    if (may_change && (setresuid((uid_t)-1, own_uid, (uid_t)-1) < 0 || setresgid((gid_t)-1, own_gid, (gid_t)-1) < 0 ||
                       setgroups(1, &own_gid) < 0))
        log_fatal("cannot return to user %lu, group %lu: %s", (unsigned long)own_uid, (unsigned long)own_gid,
                  strerror(errno));
    errno = saved;
}
