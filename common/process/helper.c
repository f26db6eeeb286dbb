/* SPDX-License-Identifier: ISC */
/*
 * helper: forks and confines a role's helper process. Called in role->open() with the supervisor's rights. Anything that
 * cannot be given up ends the helper with a logged reason; the role notices.
 */
#include "common/process/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/role_internal.h"

#define GROUP_LIMIT 64

/* The log stays; the channel to the supervisor, listeners and the event loop's descriptors go. */
static void keep_only(int socket)
{
    if (dup3(socket, ROLE_FD_CHANNEL, O_CLOEXEC) < 0 || close_range(ROLE_FD_CONFIG, ROLE_FD_LOG - 1, 0) < 0 ||
        close_range(ROLE_FD_LOG + 1, ~0u, 0) < 0)
        log_fatal("cannot close descriptors: %s", strerror(errno));
}

/* A file that only a group may read, or a socket that only it may use (saslauthd's), is what a helper exists for. */
static void set_groups(uid_t uid, gid_t gid)
{
    gid_t groups[GROUP_LIMIT];
    int count = GROUP_LIMIT;
    const struct passwd *user = getpwuid(uid);
    if (user == NULL || getgrouplist(user->pw_name, gid, groups, &count) < 0) {
        count = 1;
        groups[0] = gid;
    }
    if (setgroups((size_t)count, groups) < 0)
        log_fatal("cannot take the groups of user %ld: %s", (long)uid, strerror(errno));
}

static void become_user(uid_t uid, gid_t gid)
{
    set_groups(uid, gid);
    if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0 || getuid() != uid || geteuid() != uid ||
        getgid() != gid || getegid() != gid)
        log_fatal("cannot become user %ld, group %ld: %s", (long)uid, (long)gid, strerror(errno));
    if (uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
        log_fatal("could become root again");
}

static void helper_main(const struct role_helper *helper, int socket) NORETURN;
static void helper_main(const struct role_helper *helper, int socket)
{
    const struct start_record *record = &role_state.record;
    struct sandbox sandbox = {.name = helper->name, .rights = helper->rights, .directories = helper->directories};
    keep_only(socket);
    (void)prctl(PR_SET_NAME, helper->name, 0, 0, 0);
    if (helper->prepare != NULL)
        helper->prepare(helper->context);
    sandbox_bound_capabilities(&sandbox);
    if (record->drop_ids)
        become_user(record->uid, record->gid);
    sandbox_drop_capabilities(&sandbox);
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        log_fatal("cannot give up privileges: %s", strerror(errno));
    sandbox_landlock(&sandbox);
    sandbox_seccomp(&sandbox);
    log_flush();
    helper->run(ROLE_FD_CHANNEL, helper->context);
    _exit(0);
}

int role_fork_helper(const struct role_helper *helper)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        log_fatal("socketpair: %s", strerror(errno));
    log_flush(); /* what is collected belongs to one of the two */
    pid_t pid = fork();
    if (pid < 0)
        log_fatal("cannot start %s: fork: %s", helper->name, strerror(errno));
    if (pid == 0)
        helper_main(helper, fds[1]);
    close(fds[1]);
    int flags = fcntl(fds[0], F_GETFL);
    if (flags < 0 || fcntl(fds[0], F_SETFL, flags | O_NONBLOCK) < 0)
        log_fatal("fcntl: %s", strerror(errno));
    return fds[0];
}

void role_helper_confine_child(const char *name, unsigned rights)
{
    struct sandbox sandbox = {.name = name, .rights = rights};
    (void)prctl(PR_SET_NAME, name, 0, 0, 0);
    sandbox_seccomp(&sandbox);
}

void role_helper_probe(const char *queue_directory, struct str *out)
{
    struct arena *arena = arena_new();
    struct probe_result results[PROBE_COUNT];
    probe_results_encode(results, sandbox_probe(arena, queue_directory, results), out);
    arena_free(arena);
}
