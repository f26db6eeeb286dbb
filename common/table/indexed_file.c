/* SPDX-License-Identifier: ISC */
/*
 * indexed_file: making a table's file, whatever its format. A new file that nobody else could have prepared (O_EXCL in the
 * table's directory), written with the rights of the source's owner when root runs it, so that somebody who may write
 * into that directory gains nothing by planting links there. Called by lookup before it is confined, and by postmap.
 */
#include "common/table/indexed_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"

const struct indexed_format *indexed_format_find(struct slice type)
{
    if (slice_equal(type, SLICE("hash")) || slice_equal(type, SLICE("btree")) || slice_equal(type, SLICE("lmdb")))
        return &indexed_lmdb;
#ifdef HAVE_CDB
    if (slice_equal(type, SLICE("cdb")))
        return &indexed_cdb;
#endif
    return NULL;
}

/* Root writes as the source's owner; only effective ids change, and always back. */
static bool become_owner(const struct indexed_build *build, char **error)
{
    if (build->owner == (uid_t)-1 || build->owner == 0 || geteuid() != 0)
        return true;
    if (setegid(build->group) < 0 || seteuid(build->owner) < 0) {
        *error = mem_printf("cannot become uid %ld: %s", (long)build->owner, strerror(errno));
        return false;
    }
    return true;
}

static void become_root_again(const struct indexed_build *build)
{
    if (build->owner == (uid_t)-1 || build->owner == 0 || getuid() != 0)
        return;
    if (seteuid(0) < 0 || setegid(getgid()) < 0)
        log_fatal("cannot become root again: %s", strerror(errno));
}

/* Mode, owner and contents settled and on disk before the name changes. */
static bool settle(int fd, const char *temporary, const struct indexed_build *build, char **error)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_NOW}};
    if (build->modified != NULL)
        times[1] = *build->modified;
    if (fchmod(fd, build->mode) == 0 && futimens(fd, times) == 0 && fsync(fd) == 0 &&
        rename(temporary, build->path) == 0)
        return true;
    *error = mem_printf("rename %s to %s: %s", temporary, build->path, strerror(errno));
    return false;
}

static bool build_temporary(const struct indexed_format *format, char *temporary, const struct indexed_build *build,
                            char **error)
{
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0) {
        *error = mem_printf("create database %s: %s", build->path, strerror(errno));
        return false;
    }
    bool ok = format->write(fd, build, error) && settle(fd, temporary, build, error);
    if (!ok)
        unlink(temporary);
    if (close(fd) < 0 && ok) {
        *error = mem_printf("close %s: %s", build->path, strerror(errno));
        ok = false;
    }
    return ok;
}

bool indexed_file_build(const struct indexed_format *format, const struct indexed_build *build, char **error)
{
    char *temporary = mem_printf("%s.XXXXXX", build->path);
    bool ok = become_owner(build, error);
    if (ok) {
        ok = build_temporary(format, temporary, build, error);
        become_root_again(build);
    }
    free(temporary);
    return ok;
}
