/* SPDX-License-Identifier: ISC */
/*
 * table_build: makes /etc/x.lmdb (or .cdb) from /etc/x. The new file gets the source's modification time as it was when
 * reading began, so a source that changed meanwhile is newer than its file and will be read again.
 */
#include "common/table/table_build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/config/main_cf.h"
#include "common/table/rhs_file.h"

#define SOURCE_MAX_BYTES ((size_t)1 << 30)

static bool read_descriptor(int fd, struct str *text)
{
    for (;;) {
        str_reserve(text, 65536);
        ssize_t got = read(fd, text->data + text->len, 65536);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0;
        text->len += (size_t)got;
        text->data[text->len] = '\0';
        if (text->len > SOURCE_MAX_BYTES) {
            errno = EFBIG;
            return false;
        }
    }
}

bool table_text_read(const char *path, struct str *text, struct stat *st, char **error)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        *error = mem_printf("open %s: %s", path, strerror(errno));
        return false;
    }
    bool ok = fstat(fd, st) == 0 && read_descriptor(fd, text);
    if (!ok)
        *error = mem_printf("read %s: %s", path, strerror(errno));
    if (!is_stdin)
        close(fd); /* only read from */
    return ok;
}

bool table_source_read(const struct table_source *source, struct text_map *map, struct stat *st, char **error)
{
    struct str text = STR_EMPTY;
    struct text_source reader;
    bool ok = table_text_read(source->path, &text, st, error);
    if (ok) {
        const char *name = strcmp(source->path, "-") == 0 ? "stdin" : source->path;
        text_source_open(&reader, name, source->format, str_slice(&text));
        reader.texthash_words = source->title == NULL;
        reader.only_utf8 = source->only_utf8;
        reader.transform = source->rhs_is_file ? rhs_file_encode : NULL;
        text_map_read(map, &reader, source->fold, source->title, source->duplicates);
        text_source_close(&reader);
    }
    str_free(&text);
    return ok;
}

char *table_built_path(const struct indexed_format *format, const char *source)
{
    return mem_printf("%s%s", source, format->suffix);
}

struct map_position {
    const struct text_map *map;
    size_t index;
};

static bool next_of_map(void *context, struct slice *key, struct slice *value)
{
    struct map_position *position = context;
    return text_map_at(position->map, position->index++, key, value);
}

bool table_build_write(const struct table_build *build, char **error)
{
    char *path = table_built_path(build->format, build->source);
    struct map_position position = {.map = build->map};
    struct indexed_build file = {
        .path = path, .mode = 0644, .owner = (uid_t)-1, .include_nul = build->include_nul,
        .next = next_of_map, .context = &position,
    };
    if (build->st != NULL) {
        file.modified = &build->st->st_mtim;
        if (!build->default_mode)
            file.mode = 0600 | (build->st->st_mode & 044);
        if (build->as_source_owner) {
            file.owner = build->st->st_uid;
            file.group = build->st->st_gid;
        }
    }
    bool ok = indexed_file_build(build->format, &file, error);
    free(path);
    return ok;
}
