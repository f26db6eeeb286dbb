/* SPDX-License-Identifier: ISC */
/*
 * lockfile: one supervisor for one queue directory and one data directory. The pid file has Postfix's place,
 * form and lock (flock), so neither starts beside the other. Taken once by the supervisor, before anything is
 * served; commands only look.
 */
#include "common/process/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"

static char *pid_path(const struct config *config)
{
    return mem_printf("%s/%s/master.pid", config_string(config, "queue_directory"),
                      config_string(config, "process_id_directory"));
}

/* A file that exists is locked as it is: its directory may belong to somebody who put another file there. */
static int take_lock(const char *path, bool *created)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    *created = fd >= 0;
    if (fd < 0 && errno == EEXIST)
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        log_fatal("open lock file %s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        log_fatal("open lock file %s: unable to set exclusive lock: %s", path, strerror(errno));
    return fd;
}

void lockfile_take(const struct config *config, const struct mail_ids *ids)
{
    char pid[32];
    bool created;
    char *path = pid_path(config);
    int fd = take_lock(path, &created);
    int len = snprintf(pid, sizeof pid, "%*ld\n", (int)(3 * sizeof(long)), (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)len, 0) != len)
        log_fatal("write %s: %s", path, strerror(errno));
    free(path);
    path = mem_printf("%s/master.lock", config_string(config, "data_directory"));
    fd = take_lock(path, &created);
    if (created && ids->is_root && fchown(fd, ids->uid, ids->gid) < 0) /* as Postfix has it */
        log_fatal("chown %s: %s", path, strerror(errno));
    free(path); /* both descriptors stay open, and the locks with them */
}

bool lockfile_is_held(const struct config *config)
{
    char *path = pid_path(config);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    if (fd >= 0)
        close(fd);
    free(path);
    return held;
}

pid_t lockfile_holder(const struct config *config)
{
    char text[64] = "";
    if (!lockfile_is_held(config))
        return 0;
    char *path = pid_path(config);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t len = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    free(path);
    uint64_t pid;
    if (len <= 0 || !slice_to_u64(slice_trim(slice_of(text)), &pid) || pid > INT32_MAX)
        return 0;
    return (pid_t)pid;
}
