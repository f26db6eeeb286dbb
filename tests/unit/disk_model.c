/* SPDX-License-Identifier: ISC */
/* disk_model: the recorder behind spool_io's hook, and the builder of directories after a crash. */
#include "tests/unit/disk_model.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/spool/layout.h"
#include "common/spool/spool_io.h"

#define SECTOR 512

struct step {
    enum spool_io_call call;
    char path[SPOOL_PATH_SIZE], new_path[SPOOL_PATH_SIZE]; /* below the directory */
    size_t file;    /* which file (an inode, so to say), from 1 */
    char *data;
    size_t len;
    off_t offset;
};

struct name {
    char path[SPOOL_PATH_SIZE];
    size_t file; /* 0: gone */
};

static struct {
    pthread_mutex_t lock;
    char root[256];
    struct step *steps;
    size_t count, room;
    struct name *names; /* as they are now */
    size_t name_count;
    size_t files;
    int (*fault)(const struct spool_io_event *event);
} model = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* --- names ------------------------------------------------------------------------------- */

static struct name *name_slot(struct name **names, size_t *count, const char *path)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp((*names)[i].path, path) == 0)
            return &(*names)[i];
    *names = mem_realloc_array(*names, *count + 1, sizeof **names);
    struct name *name = &(*names)[(*count)++];
    memset(name, 0, sizeof *name);
    snprintf(name->path, sizeof name->path, "%s", path);
    return name;
}

static size_t name_get(const char *path) { return name_slot(&model.names, &model.name_count, path)->file; }
static void name_set(const char *path, size_t file)
{
    name_slot(&model.names, &model.name_count, path)->file = file;
}

/* The path of a descriptor below the root, or false when it is not there (any more). */
static bool path_of_fd(int fd, char path[SPOOL_PATH_SIZE])
{
    char link[64], target[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, target, sizeof target - 1);
    if (len < 0)
        return false;
    target[len] = '\0';
    size_t root = strlen(model.root);
    if (strncmp(target, model.root, root) != 0 || strstr(target, " (deleted)") != NULL)
        return false;
    snprintf(path, SPOOL_PATH_SIZE, "%s", target[root] == '/' ? target + root + 1 : "");
    return true;
}

/* --- recording ------------------------------------------------------------------------------ */

static struct step *step_new(enum spool_io_call call)
{
    if (model.count == model.room) {
        model.room = model.room == 0 ? 1024 : model.room * 2;
        model.steps = mem_realloc_array(model.steps, model.room, sizeof *model.steps);
    }
    struct step *step = &model.steps[model.count++];
    memset(step, 0, sizeof *step);
    step->call = call;
    return step;
}

static void record_write(const struct spool_io_event *event, size_t file)
{
    struct step *step = step_new(SPOOL_IO_WRITE);
    step->file = file;
    step->offset = event->offset;
    for (int i = 0; i < event->piece_count; i++)
        step->len += event->pieces[i].iov_len;
    step->data = mem_alloc(step->len);
    size_t at = 0;
    for (int i = 0; i < event->piece_count; i++) {
        if (event->pieces[i].iov_len > 0)
            memcpy(step->data + at, event->pieces[i].iov_base, event->pieces[i].iov_len);
        at += event->pieces[i].iov_len;
    }
}

static void record_name(const struct spool_io_event *event)
{
    struct step *step = step_new(event->call);
    snprintf(step->path, sizeof step->path, "%s", event->path);
    if (event->call == SPOOL_IO_CREATE) {
        step->file = ++model.files;
        name_set(event->path, step->file);
    } else if (event->call == SPOOL_IO_UNLINK) {
        name_set(event->path, 0);
    } else {
        step->file = name_get(event->path);
        snprintf(step->new_path, sizeof step->new_path, "%s", event->new_path);
        name_set(event->path, 0);
        name_set(event->new_path, step->file);
    }
}

static void record(const struct spool_io_event *event)
{
    char path[SPOOL_PATH_SIZE];
    switch (event->call) {
    case SPOOL_IO_CREATE:
    case SPOOL_IO_RENAME:
    case SPOOL_IO_UNLINK:
        record_name(event);
        break;
    case SPOOL_IO_WRITE:
        if (path_of_fd(event->fd, path))
            record_write(event, name_get(path));
        break;
    case SPOOL_IO_SYNC:
        if (path_of_fd(event->fd, path)) {
            struct step *step = step_new(SPOOL_IO_SYNC);
            snprintf(step->path, sizeof step->path, "%s", path);
            step->file = name_get(path); /* 0: a directory */
        }
        break;
    case SPOOL_IO_SYNC_ALL:
        step_new(SPOOL_IO_SYNC_ALL);
        break;
    default:
        break;
    }
}

static int on_event(const struct spool_io_event *event)
{
    pthread_mutex_lock(&model.lock);
    int error = model.fault != NULL ? model.fault(event) : 0;
    if (error == 0)
        record(event);
    pthread_mutex_unlock(&model.lock);
    return error;
}

void disk_model_set_faults(int (*fault)(const struct spool_io_event *event))
{
    pthread_mutex_lock(&model.lock);
    model.fault = fault;
    pthread_mutex_unlock(&model.lock);
}

void disk_model_start(const char *directory)
{
    snprintf(model.root, sizeof model.root, "%s", directory);
    for (size_t i = 0; i < model.count; i++)
        free(model.steps[i].data);
    model.count = model.name_count = model.files = 0;
    spool_io_set_hook(on_event);
}

void disk_model_stop(void)
{
    spool_io_set_hook(NULL);
}

size_t disk_model_steps(void)
{
    pthread_mutex_lock(&model.lock);
    size_t count = model.count;
    pthread_mutex_unlock(&model.lock);
    return count;
}

/* --- crashing ---------------------------------------------------------------------------------- */

struct crash {
    size_t step;
    enum disk_survival survival;
    unsigned seed;
};

static bool by_chance(struct crash *crash)
{
    if (crash->survival != SURVIVES_BY_CHANCE)
        return crash->survival == SURVIVES_ALL;
    crash->seed = crash->seed * 1103515245u + 12345u;
    return (crash->seed >> 16 & 1) != 0;
}

static bool in_directory(const char *path, const char *directory)
{
    size_t len = strlen(directory);
    return strncmp(path, directory, len) == 0 && path[len] == '/' && strchr(path + len + 1, '/') == NULL;
}

/* Whether a change of names at step `at` was made durable before the crash. */
static bool name_is_durable(const struct crash *crash, size_t at)
{
    const struct step *change = &model.steps[at];
    bool old_synced = false, new_synced = change->new_path[0] == '\0';
    for (size_t i = at + 1; i < crash->step; i++) {
        const struct step *step = &model.steps[i];
        if (step->call == SPOOL_IO_SYNC_ALL)
            return true;
        if (step->call != SPOOL_IO_SYNC || step->file != 0)
            continue;
        old_synced = old_synced || in_directory(change->path, step->path);
        new_synced = new_synced || in_directory(change->new_path, step->path);
    }
    return old_synced && new_synced;
}

static bool data_is_durable(const struct crash *crash, size_t at)
{
    for (size_t i = at + 1; i < crash->step; i++)
        if (model.steps[i].call == SPOOL_IO_SYNC_ALL ||
            (model.steps[i].call == SPOOL_IO_SYNC && model.steps[i].file == model.steps[at].file))
            return true;
    return false;
}

static void apply_write(struct crash *crash, size_t at, char **data, size_t *size)
{
    const struct step *step = &model.steps[at];
    bool durable = data_is_durable(crash, at);
    size_t end = (size_t)step->offset + step->len;
    for (size_t from = (size_t)step->offset; from < end;) {
        size_t to = (from / SECTOR + 1) * SECTOR < end ? (from / SECTOR + 1) * SECTOR : end;
        if (durable || by_chance(crash)) {
            if (to > *size) {
                *data = mem_realloc_array(*data, to, 1);
                memset(*data + *size, 0, to - *size);
                *size = to;
            }
            memcpy(*data + from, step->data + (from - (size_t)step->offset), to - from);
        }
        from = to;
    }
}

static void write_file(struct crash *crash, size_t file, const char *path)
{
    char *data = NULL;
    size_t size = 0;
    for (size_t i = 0; i < crash->step; i++)
        if (model.steps[i].call == SPOOL_IO_WRITE && model.steps[i].file == file)
            apply_write(crash, i, &data, &size);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd) < 0)
        log_panic("%s: %s", path, strerror(errno));
    free(data);
}

/* A change that is lost takes with it every later one of the same names. */
static bool depends_on_lost(const struct step *step, char lost[][SPOOL_PATH_SIZE], size_t lost_count)
{
    for (size_t i = 0; i < lost_count; i++)
        if (strcmp(lost[i], step->path) == 0 || (step->new_path[0] != '\0' && strcmp(lost[i], step->new_path) == 0))
            return true;
    return false;
}

void disk_model_crash(size_t step, enum disk_survival survival, unsigned seed, const char *into)
{
    struct crash crash = {step, survival, seed};
    struct name *names = NULL;
    size_t name_count = 0, lost_count = 0;
    char(*lost)[SPOOL_PATH_SIZE] = mem_alloc_array(step * 2 + 1, SPOOL_PATH_SIZE);
    for (size_t i = 0; i < step; i++) {
        const struct step *one = &model.steps[i];
        if (one->call != SPOOL_IO_CREATE && one->call != SPOOL_IO_RENAME && one->call != SPOOL_IO_UNLINK)
            continue;
        bool durable = name_is_durable(&crash, i);
        if (!durable && (depends_on_lost(one, lost, lost_count) || !by_chance(&crash))) {
            memcpy(lost[lost_count++], one->path, SPOOL_PATH_SIZE);
            if (one->new_path[0] != '\0')
                memcpy(lost[lost_count++], one->new_path, SPOOL_PATH_SIZE);
            continue;
        }
        name_slot(&names, &name_count, one->path)->file = one->call == SPOOL_IO_CREATE ? one->file : 0;
        if (one->call == SPOOL_IO_RENAME)
            name_slot(&names, &name_count, one->new_path)->file = one->file;
    }
    for (size_t i = 0; i < name_count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", into, names[i].path);
        if (names[i].file != 0)
            write_file(&crash, names[i].file, path);
    }
    free(names);
    free(lost);
}
