/* SPDX-License-Identifier: ISC */
/*
 * role_start: from exec to confined. Called once by role_main(), with whatever rights the supervisor
 * has. Order: start record, configuration, log, listeners; then role->open(); then chroot, ids,
 * limits, no_new_privs, Landlock, seccomp. Any failure ends the process with a logged reason; only a kernel
 * feature that is missing is a warning.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/log_sink.h"
#include "common/process/role_internal.h"

#define START_DEADLINE_MS 10000

static bool is_socket(int fd)
{
    struct stat info;
    return fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode);
}

/* The first packet on the channel, before any loop runs. */
static void receive_record(const struct role *role)
{
    static char packet[MASTER_RECORD_LIMIT];
    struct pollfd poller = {.fd = ROLE_FD_CHANNEL, .events = POLLIN};
    if (!is_socket(ROLE_FD_CHANNEL))
        log_fatal("do not run this command by hand");
    if (poll(&poller, 1, START_DEADLINE_MS) <= 0)
        log_fatal("the supervisor sent no start record");
    ssize_t len = recv(ROLE_FD_CHANNEL, packet, sizeof packet, 0);
    if (len <= 0)
        log_fatal("cannot receive the start record: %s", len < 0 ? strerror(errno) : "end of file");
    struct start_record *record = &role_state.record;
    if (!start_record_decode(slice_range(packet, (size_t)len), role_state.arena, record) ||
        record->role != role->id)
        log_fatal("bad start record: do the programs in daemon_directory come from one version?");
}

static void close_on_exec(int fd)
{
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        log_fatal("descriptor %d: %s", fd, strerror(errno));
}

static void take_listeners(struct role_start *start, const struct start_record *record)
{
    int *fds = mem_alloc_array(record->listener_count + 1, sizeof *fds);
    for (size_t i = 0; i < record->listener_count; i++) {
        fds[i] = ROLE_FD_FIRST_LISTENER + (int)i;
        close_on_exec(fds[i]);
        int flags = fcntl(fds[i], F_GETFL);
        if (flags < 0 || fcntl(fds[i], F_SETFL, flags | O_NONBLOCK) < 0)
            log_fatal("listener %s: %s", record->listeners[i], strerror(errno));
    }
    start->listeners = fds;
    start->listener_names = (const char *const *)record->listeners;
    start->listener_count = record->listener_count;
}

static void open_log(const struct role *role)
{
    const struct start_record *record = &role_state.record;
    int fd = -1;
    if (record->has_log) {
        fd = ROLE_FD_LOG;
        close_on_exec(fd);
    } else
        close(ROLE_FD_LOG);
    log_sink_start(role_state.config, role_log_name(role->id), (enum log_sink)record->log_sink, fd,
                   record->verbose);
}

void role_set_log(enum log_sink sink, int fd)
{
    if (sink == (enum log_sink)role_state.record.log_sink) {
        log_replace_fd(fd);
        return;
    }
    role_state.record.log_sink = (uint8_t)sink;
    log_sink_start(role_state.config, role_log_name(role_state.role->id), sink, fd, log_is_verbose());
}

/* Terminal signals are the supervisor's business; a role ends when its channel or SIGTERM says so. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGPIPE, SIGQUIT};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        if (signal(ignored[i], SIG_IGN) == SIG_ERR)
            log_fatal("signal: %s", strerror(errno));
}

void role_receive_start(const struct role *role)
{
    struct log_options early = {.sink = LOG_TO_STDERR, .fd = -1, .component = role_log_name(role->id)};
    log_open(&early);
    ignore_signals();
    role_state.role = role;
    role_state.arena = arena_new();
    receive_record(role);
    close_on_exec(ROLE_FD_CHANNEL);
    role_state.config = config_receive(ROLE_FD_CONFIG);
    if (role_state.config == NULL)
        log_fatal("cannot read the configuration that the supervisor sent");
    close(ROLE_FD_CONFIG);
    open_log(role);
    role_state.start.config = role_state.config;
    role_state.start.service = role_state.record.service;
    take_listeners(&role_state.start, &role_state.record);
}

/* --- giving up rights ------------------------------------------------------------- */

/* It lies in mail_owner's directory: what he may have put in its place is not entered. */
static void enter_empty_root(const char *directory)
{
    struct stat info;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) < 0 || fchdir(fd) < 0)
        log_fatal("open directory %s: %s", directory, strerror(errno));
    close(fd);
    if (info.st_uid != 0 || (info.st_mode & 022) != 0)
        log_fatal("%s: not owned by root, or others can write there", directory);
    if (chroot(".") < 0)
        log_fatal("chroot %s: %s", directory, strerror(errno));
    if (chdir("/") < 0)
        log_fatal("chdir to the new root: %s", strerror(errno));
}

static void drop_ids(const struct role *role, uid_t uid, gid_t gid)
{
    uid_t real, effective, saved;
    gid_t real_group, effective_group, saved_group;
    bool keeps = (role->rights & RIGHT_SET_IDS) != 0;
    if (keeps && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        log_fatal("cannot keep capabilities: %s", strerror(errno));
    if (setgroups(1, &gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        log_fatal("cannot become user %ld, group %ld: %s", (long)uid, (long)gid, strerror(errno));
    if (getresuid(&real, &effective, &saved) < 0 || real != uid || effective != uid || saved != uid ||
        getresgid(&real_group, &effective_group, &saved_group) < 0 || real_group != gid ||
        effective_group != gid || saved_group != gid)
        log_fatal("did not become user %ld, group %ld", (long)uid, (long)gid);
    if (!keeps && uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
        log_fatal("could become root again");
}

void role_confine(const struct role *role)
{
    const struct start_record *record = &role_state.record;
    struct sandbox sandbox = {
        .name = role_name(role->id),
        .rights = role->rights,
        .directories = role->directories != NULL ? role->directories(&role_state.start) : NULL,
    };
    sandbox_limit(&sandbox, role->max_open_files);
    /* Paths of the old root must be opened before it is gone. */
    if (role->wants_empty_root && *record->empty_root != '\0')
        enter_empty_root(record->empty_root);
    sandbox_bound_capabilities(&sandbox);
    if (record->drop_ids)
        drop_ids(role, record->uid, record->gid);
    sandbox_drop_capabilities(&sandbox);
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        log_fatal("cannot give up privileges: %s", strerror(errno));
    sandbox_landlock(&sandbox);
    sandbox_seccomp(&sandbox);
}
