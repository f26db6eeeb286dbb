/* SPDX-License-Identifier: ISC */
/*
 * sni_tables: from tls_server_sni_maps to certificates by server name. Called by the supervisor. A table that postmap -F built
 * holds private keys, so it is not looked into here: keys gets its descriptor. A text names files; it counts where there
 * is no built table, or where the text or a file it names is newer: then a renewed certificate needs no postmap.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/text_map.h"
#include "common/tls/credential_builder.h"

#define TEXT_LIMIT (64 * 1024 * 1024)

/* Changes of this file are looked for. */
static void note_source(struct credential_builder *builder, const char *path)
{
    struct tls_credentials *all = builder->all;
    for (size_t i = 0; i < all->source_count; i++)
        if (strcmp(all->sources[i], path) == 0)
            return;
    char **grown = arena_alloc_array(builder->arena, all->source_count + 1, sizeof *grown);
    if (all->source_count > 0)
        memcpy(grown, all->sources, all->source_count * sizeof *grown);
    grown[all->source_count++] = arena_strdup(builder->arena, path);
    all->sources = grown;
}

/* --- texts: "name  file, file" lines ---------------------------------------------------------------------- */

static bool read_file(const char *path, struct str *text)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), error = fd < 0 ? errno : EINVAL;
    ssize_t n = -1;
    if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= TEXT_LIMIT) {
        str_reserve(text, (size_t)info.st_size + 1);
        while ((n = read(fd, text->data + text->len, text->cap - text->len - 1)) > 0 && text->cap - text->len > 1)
            text->len += (size_t)n;
        error = errno;
    }
    if (fd >= 0)
        close(fd); /* only read from */
    errno = error;
    return n >= 0;
}

/* NULL with errno: it cannot be read. */
static struct text_map *read_text(const char *spec, const char *path)
{
    struct text_source source = {0};
    struct str text = STR_EMPTY;
    struct text_map *map = NULL;
    if (read_file(path, &text)) {
        map = text_map_new();
        text_source_open(&source, path, SOURCE_MAP, str_slice(&text));
        text_map_read(map, &source, true, spec, DUPLICATE_WARN);
        text_source_close(&source);
    }
    int error = errno;
    str_free(&text);
    errno = error;
    return map;
}

static void add_text(struct credential_builder *builder, const struct text_map *map)
{
    struct slice name, files;
    for (size_t i = 0; text_map_at(map, i, &name, &files); i++)
        credential_add_chain(builder, arena_slice(builder->arena, name), arena_slice(builder->arena, files));
}

/* --- built tables ---------------------------------------------------------------------------------------------- */

static bool is_newer(const struct timespec *one, const struct timespec *other)
{
    return one->tv_sec != other->tv_sec ? one->tv_sec > other->tv_sec : one->tv_nsec > other->tv_nsec;
}

/* Times of change, which no copying sets back. A file that is missing, or an earlier state of it, speaks for the table. */
static bool text_counts(struct credential_builder *builder, const char *path, const struct text_map *map, const struct stat *built)
{
    struct slice name, files;
    struct stat info;
    bool newer = stat(path, &info) == 0 && is_newer(&info.st_ctim, &built->st_ctim);
    bool whole = true;
    for (size_t i = 0; text_map_at(map, i, &name, &files); i++) {
        char **items;
        size_t count = config_split_list(arena_slice(builder->arena, files), builder->arena, &items);
        for (size_t j = 0; j < count; j++) {
            note_source(builder, items[j]);
            if (stat(items[j], &info) < 0)
                whole = false;
            else if (is_newer(&info.st_ctim, &built->st_ctim))
                newer = true;
        }
    }
    return newer && whole;
}

static void add_built(struct credential_builder *builder, const char *path)
{
    char **files = arena_alloc_array(builder->arena, 1, sizeof *files);
    files[0] = arena_strdup(builder->arena, path);
    credential_add(builder, (struct tls_credential){arena_strdup(builder->arena, ""), CREDENTIAL_TABLE, files, 1});
}

/* suffix NULL: this type has no built file. */
static void add_table(struct credential_builder *builder, const char *spec, const char *path, const char *suffix)
{
    char *built_path = mem_printf("%s%s", path, suffix != NULL ? suffix : "");
    struct stat built;
    note_source(builder, path);
    note_source(builder, built_path);
    struct text_map *map = read_text(spec, path);
    int error = errno;
    bool has_built = suffix != NULL && stat(built_path, &built) == 0;
    if (map != NULL && (!has_built || text_counts(builder, path, map, &built)))
        add_text(builder, map);
    else { /* keys says what is wrong with it, and that names without certificate cannot be answered */
        if (!has_built)
            log_warning("tls_server_sni_maps: cannot read %s: %s", path, strerror(error));
        add_built(builder, built_path);
    }
    if (map != NULL)
        text_map_free(map);
    free(built_path);
}

/* --- the parameter --------------------------------------------------------------------------------------------- */

/* inline:{ name=file, { name = file, file } } */
static void add_inline(struct credential_builder *builder, const char *body)
{
    char **outer, **items;
    if (config_split_list(body, builder->arena, &outer) != 1)
        return;
    size_t count = config_split_list(outer[0], builder->arena, &items);
    for (size_t i = 0; i < count; i++) {
        char *equals = strchr(items[i], '=');
        if (equals == NULL)
            continue;
        char *name = arena_slice(builder->arena, slice_trim(slice_range(items[i], (size_t)(equals - items[i]))));
        text_lowercase(name);
        credential_add_chain(builder, name, equals + 1);
    }
}

static void add_spec(struct credential_builder *builder, const char *spec)
{
    static const struct { const char *type, *suffix; } types[] = {
        {"hash:", ".lmdb"}, {"btree:", ".lmdb"}, {"lmdb:", ".lmdb"}, {"cdb:", ".cdb"}, {"texthash:", NULL},
    };
    if (slice_starts_with_nocase(slice_of(spec), SLICE("proxy:")))
        spec += 6;
    if (slice_starts_with_nocase(slice_of(spec), SLICE("inline:"))) {
        add_inline(builder, spec + 7);
        return;
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (slice_starts_with_nocase(slice_of(spec), slice_of(types[i].type))) {
            add_table(builder, spec, spec + strlen(types[i].type), types[i].suffix);
            return;
        }
    log_warning("tls_server_sni_maps: %s is not used: certificates by name come from hash:, btree:, lmdb:, cdb:, texthash: "
                "or inline:", spec);
}

void sni_tables_add(struct credential_builder *builder, const struct config *config)
{
    char **specs;
    size_t count = config_split_list(config_string(config, "tls_server_sni_maps"), builder->arena, &specs);
    for (size_t i = 0; i < count; i++)
        add_spec(builder, specs[i]);
}
