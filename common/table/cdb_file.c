/* SPDX-License-Identifier: ISC */
/*
 * cdb_file: the format of cdb: (D. J. Bernstein's constant database, with tinycdb). Files that Postfix's postmap made are read
 * as they are. Called by hash.c and postmap; the file is mapped, and every position in it is checked by the library.
 */
#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/indexed_file.h"

struct cdb_file {
    struct cdb cdb;
    bool with_nul; /* made by a postmap that stores the NULs */
};

static void cdb_file_close(void *data)
{
    struct cdb_file *file = data;
    if (file == NULL)
        return;
    cdb_free(&file->cdb);
    free(file);
}

/* Of what the library found last. */
static struct slice slice_at(const struct cdb_file *file, unsigned len, unsigned position)
{
    const char *data = cdb_get(&file->cdb, len, position);
    if (data == NULL)
        return (struct slice){"", 0};
    if (file->with_nul && len > 0 && data[len - 1] == '\0')
        len--;
    return slice_range(data, len);
}

static void detect_nul(struct cdb_file *file)
{
    unsigned position;
    cdb_seqinit(&position, &file->cdb);
    if (cdb_seqnext(&position, &file->cdb) <= 0)
        return;
    struct slice first = slice_at(file, cdb_keylen(&file->cdb), cdb_keypos(&file->cdb));
    file->with_nul = first.len > 0 && first.data[first.len - 1] == '\0';
}

static void *cdb_file_open(const char *path, char **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct cdb_file *file = mem_alloc(sizeof *file);
    if (fd >= 0 && cdb_init(&file->cdb, fd) == 0) {
        close(fd); /* it is mapped */
        detect_nul(file);
        return file;
    }
    *error = mem_printf("open database %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd); /* only read from */
    free(file);
    return NULL;
}

static enum indexed_status cdb_file_find(void *data, struct slice key, struct slice *value, const char **why)
{
    struct cdb_file *file = data;
    char *with_nul = NULL;
    if (key.len > UINT32_MAX - 1)
        return INDEXED_NOT_FOUND;
    if (file->with_nul) {
        with_nul = mem_strndup(key.data, key.len);
        key = slice_range(with_nul, key.len + 1);
    }
    int found = cdb_find(&file->cdb, key.data != NULL ? key.data : "", (unsigned)key.len);
    free(with_nul);
    if (found < 0) {
        *why = "the file is damaged";
        return INDEXED_FAILED;
    }
    if (found == 0)
        return INDEXED_NOT_FOUND;
    *value = slice_at(file, cdb_datalen(&file->cdb), cdb_datapos(&file->cdb));
    return INDEXED_FOUND;
}

static bool cdb_file_walk(void *data, bool (*visit)(void *context, struct slice key, struct slice value), void *context,
                          const char **why)
{
    struct cdb_file *file = data;
    unsigned position, before;
    int more;
    cdb_seqinit(&position, &file->cdb);
    for (before = position; (more = cdb_seqnext(&position, &file->cdb)) > 0; before = position) {
        if (position <= before) { /* the library's sum of a record's lengths went beyond 2^32 and back to an earlier one */
            more = -1;
            break;
        }
        struct slice key = slice_at(file, cdb_keylen(&file->cdb), cdb_keypos(&file->cdb));
        struct slice value = slice_at(file, cdb_datalen(&file->cdb), cdb_datapos(&file->cdb));
        if (!visit(context, key, value))
            return true;
    }
    *why = "the file is damaged";
    return more == 0;
}

static bool cdb_file_write(int fd, const struct indexed_build *build, char **error)
{
    struct cdb_make make;
    struct slice key, value;
    unsigned extra = build->include_nul ? 1 : 0;
    bool ok = cdb_make_start(&make, fd) == 0;
    while (ok && build->next(build->context, &key, &value)) {
        if (key.len > UINT32_MAX / 2 || value.len > UINT32_MAX / 2)
            log_warning("%s: an entry is too long -- ignoring this entry", build->path);
        else
            ok = cdb_make_add(&make, key.data, (unsigned)key.len + extra, value.data, (unsigned)value.len + extra) == 0;
    }
    int why = errno;
    bool finished = cdb_make_finish(&make) == 0; /* frees what it holds, also after a failure */
    if (ok && !finished)
        why = errno;
    if (!ok || !finished)
        *error = mem_printf("write database %s: %s", build->path, strerror(why));
    return ok && finished;
}

const struct indexed_format indexed_cdb = {
    .suffix = ".cdb", .open = cdb_file_open, .close = cdb_file_close, .find = cdb_file_find, .walk = cdb_file_walk,
    .write = cdb_file_write,
};
