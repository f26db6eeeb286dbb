/* SPDX-License-Identifier: ISC */
/*
 * postconf_file: replaces a configuration file as a whole. The new text is written beside the old file,
 * synced, given the old file's owner and mode, and renamed over it; the directory is synced last. An edit that
 * fails leaves the old file as it was. Two edits at the same time wait for each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands/postconf.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/main_cf.h"

static int open_directory_of(const char *path)
{
    char *copy = mem_strdup(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        log_fatal("open directory of %s: %s", path, strerror(errno));
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            log_fatal("lock directory of %s: %s", path, strerror(errno));
    free(copy);
    return fd;
}

/* A symbolic link stays; the file it leads to is replaced. */
void replacement_begin(struct replacement *replacement, const char *directory, const char *name)
{
    char *path = mem_printf("%s/%s", directory, name);
    *replacement = (struct replacement){.path = realpath(path, NULL)};
    if (replacement->path == NULL)
        log_fatal("open %s for reading: %s", path, strerror(errno));
    replacement->temporary = mem_printf("%s.tmp", replacement->path);
    replacement->directory_fd = open_directory_of(replacement->path);
    if (!config_read_file(replacement->path, &replacement->old_text))
        log_fatal("open %s for reading: %s", path, strerror(errno));
    free(path);
}

static void write_all(int fd, const struct str *text, const char *path)
{
    for (size_t done = 0; done < text->len;) {
        ssize_t wrote = write(fd, text->data + done, text->len - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            log_fatal("write %s: %s", path, strerror(errno));
        done += (size_t)wrote;
    }
}

static int create_temporary(const struct replacement *replacement)
{
    /* What an interrupted edit left: the directory's lock says that nobody is writing it. */
    if (unlink(replacement->temporary) < 0 && errno != ENOENT)
        log_fatal("remove %s: %s", replacement->temporary, strerror(errno));
    int fd = open(replacement->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        log_fatal("open %s: %s", replacement->temporary, strerror(errno));
    return fd;
}

static void copy_owner_and_mode(const struct replacement *replacement, int fd)
{
    struct stat old;
    if (stat(replacement->path, &old) < 0)
        log_fatal("stat %s: %s", replacement->path, strerror(errno));
    if (geteuid() == 0 && fchown(fd, old.st_uid, old.st_gid) < 0)
        log_fatal("change owner of %s: %s", replacement->temporary, strerror(errno));
    if (fchmod(fd, old.st_mode & 07777) < 0)
        log_fatal("change mode of %s: %s", replacement->temporary, strerror(errno));
}

void replacement_commit(struct replacement *replacement)
{
    int fd = create_temporary(replacement);
    write_all(fd, &replacement->new_text, replacement->temporary);
    copy_owner_and_mode(replacement, fd);
    if (fsync(fd) < 0 || close(fd) < 0)
        log_fatal("write %s: %s", replacement->temporary, strerror(errno));
    if (rename(replacement->temporary, replacement->path) < 0)
        log_fatal("rename %s to %s: %s", replacement->temporary, replacement->path,
                  strerror(errno));
    if (fsync(replacement->directory_fd) < 0 || close(replacement->directory_fd) < 0)
        log_fatal("sync directory of %s: %s", replacement->path, strerror(errno));
    free(replacement->path);
    free(replacement->temporary);
    str_free(&replacement->old_text);
    str_free(&replacement->new_text);
}

bool postconf_next_line(struct slice *rest, struct slice *line)
{
    const char *newline = memchr(rest->data, '\n', rest->len);
    size_t len = newline != NULL ? (size_t)(newline - rest->data) + 1 : rest->len;
    *line = slice_range(rest->data, len);
    *rest = slice_skip(*rest, len);
    return len > 0;
}

bool postconf_is_comment(struct slice line)
{
    line = slice_trim(line);
    return line.len == 0 || line.data[0] == '#';
}
