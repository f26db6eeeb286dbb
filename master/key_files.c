/* SPDX-License-Identifier: ISC */
/*
 * key_files: opens certificates and private keys with root's rights and passes the descriptors to keys; it never reads
 * them. Looks every two seconds whether one has changed, so that a renewed certificate needs no reload. A file that
 * cannot be opened is reported by keys, which knows what it is for.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/ipc.h"
#include "common/process/master_protocol.h"
#include "common/tls/credentials.h"
#include "common/tls/level.h"
#include "master/supervisor.h"

#define LOOK_EVERY_S 2
#define FILES_AT_ONCE 64 /* descriptors under way to keys */

struct watched {
    const char *path;
    bool is_source; /* a change of it may change the plan */
    bool is_sent;   /* keys gets it */
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified;
    int error;
};

static struct {
    struct arena *arena;
    struct str plan;
    struct watched *files;
    size_t count, room;
    struct event *timer;
} state;

/* True when it is not what it was. */
static bool look_at(struct watched *file)
{
    struct stat info = {0};
    struct watched old = *file;
    file->error = stat(file->path, &info) < 0 ? errno : 0;
    file->device = info.st_dev;
    file->inode = info.st_ino;
    file->size = info.st_size;
    file->modified = info.st_mtim;
    return old.error != file->error || old.device != file->device || old.inode != file->inode ||
           old.size != file->size || old.modified.tv_sec != file->modified.tv_sec ||
           old.modified.tv_nsec != file->modified.tv_nsec;
}

static struct watched *watch(const char *path)
{
    for (size_t i = 0; i < state.count; i++)
        if (strcmp(state.files[i].path, path) == 0)
            return &state.files[i];
    if (state.count == state.room) {
        state.room = state.room * 2 + 16;
        state.files = mem_realloc_array(state.files, state.room, sizeof *state.files);
    }
    state.files[state.count] = (struct watched){.path = path};
    look_at(&state.files[state.count]);
    return &state.files[state.count++];
}

static void make_plan(void)
{
    struct tls_credentials credentials = {0};
    struct slot *slot;
    if (state.arena != NULL)
        arena_free(state.arena);
    state.arena = arena_new();
    state.count = 0;
    TAILQ_FOREACH (slot, &supervisor.slots, link)
        if ((slot->role == ROLE_SMTPD || slot->role == ROLE_SUBMISSION) && tls_level_of(slot->config).use)
            tls_credentials_add(&credentials, state.arena, slot->config, slot->service);
    str_clear(&state.plan);
    tls_credentials_encode(&credentials, &state.plan);
    for (size_t i = 0; i < credentials.source_count; i++)
        watch(credentials.sources[i])->is_source = true;
    for (size_t i = 0; i < credentials.count; i++)
        for (size_t j = 0; j < credentials.sets[i].count; j++)
            for (size_t k = 0; k < credentials.sets[i].list[j].file_count; k++)
                watch(credentials.sets[i].list[j].files[k])->is_sent = true;
}

/* --- sending ------------------------------------------------------------------------------------------ */

static int null_fd = -1; /* stands in for a file that cannot be opened; there is always one */

static void open_null(void)
{
    if (null_fd < 0)
        null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0)
        log_fatal("open /dev/null: %s", strerror(errno));
}

static void send_file(struct ipc_channel *channel, const char *path)
{
    struct str body = STR_EMPTY;
    struct stat info;
    /* Not blocking: somebody may have put a fifo there. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), error = fd < 0 ? errno : 0;
    if (fd >= 0 && (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))) {
        close(fd);
        fd = -1;
        error = EINVAL;
    }
    ipc_put_text(&body, path);
    ipc_put_u32(&body, (uint32_t)error);
    ipc_notify(channel, MASTER_FILE, str_slice(&body), fd >= 0 ? fd : null_fd);
    str_free(&body);
    if (fd >= 0)
        close(fd);
}

/* What is to be sent to one process; the names are copies, because the plan may change meanwhile. */
struct dispatch {
    pid_t pid;
    struct arena *arena;
    struct str plan; /* empty: as before */
    char **paths;
    size_t count;
};

static struct ipc_channel *channel_of(pid_t pid)
{
    struct process *process;
    TAILQ_FOREACH (process, &supervisor.processes, link)
        if (process->pid == pid)
            return process->channel;
    return NULL;
}

static void dispatch_fiber(void *arg)
{
    struct dispatch *dispatch = arg;
    struct ipc_channel *channel = channel_of(dispatch->pid);
    if (channel != NULL && dispatch->plan.len > 0)
        ipc_notify(channel, MASTER_FILES, str_slice(&dispatch->plan), -1);
    for (size_t i = 0; i < dispatch->count && channel != NULL; i++) {
        send_file(channel, dispatch->paths[i]);
        if (i % FILES_AT_ONCE == FILES_AT_ONCE - 1) {
            if (fiber_sleep_until(deadline_in_ms(10)) != WAIT_OK)
                break;
            channel = channel_of(dispatch->pid);
        }
    }
    if (channel != NULL)
        ipc_notify(channel, MASTER_FILES_END, SLICE(""), -1);
    str_free(&dispatch->plan);
    arena_free(dispatch->arena);
    free(dispatch);
}

/* changed NULL: all files, and what they are for. */
static void start_dispatch(const struct process *process, const bool *changed)
{
    struct dispatch *dispatch = mem_alloc(sizeof *dispatch);
    dispatch->pid = process->pid;
    dispatch->arena = arena_new();
    dispatch->paths = arena_alloc_array(dispatch->arena, state.count + 1, sizeof *dispatch->paths);
    if (changed == NULL)
        str_append_slice(&dispatch->plan, str_slice(&state.plan));
    for (size_t i = 0; i < state.count; i++)
        if (state.files[i].is_sent && (changed == NULL || changed[i]))
            dispatch->paths[dispatch->count++] = arena_strdup(dispatch->arena, state.files[i].path);
    fiber_spawn("key-files", dispatch_fiber, dispatch);
}

static void send_to_keys(const bool *changed)
{
    struct process *process;
    TAILQ_FOREACH (process, &supervisor.processes, link)
        if (process->role == ROLE_KEYS && process->channel != NULL && !process->draining)
            start_dispatch(process, changed);
}

void key_files_send_all(struct process *process)
{
    start_dispatch(process, NULL);
}

/* --- looking ------------------------------------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd UNUSED, short what UNUSED, void *arg UNUSED)
{
    bool any = false, source = false;
    bool *changed = mem_alloc_array(state.count + 1, sizeof *changed);
    for (size_t i = 0; i < state.count; i++) {
        changed[i] = look_at(&state.files[i]);
        any = any || changed[i];
        source = source || (changed[i] && state.files[i].is_source);
    }
    if (source)
        make_plan();
    if (any && !supervisor.stopping)
        send_to_keys(source ? NULL : changed);
    free(changed);
}

void key_files_configure(void)
{
    struct timeval period = {LOOK_EVERY_S, 0};
    open_null();
    make_plan();
    send_to_keys(NULL); /* one that is started now gets it anyway */
    if (state.timer == NULL)
        state.timer = event_new(fiber_loop_base(), -1, EV_PERSIST, on_timer, NULL);
    if (state.timer == NULL || (state.count > 0 ? event_add(state.timer, &period) : event_del(state.timer)) < 0)
        log_fatal("cannot set a timer");
}
