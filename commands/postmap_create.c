/* SPDX-License-Identifier: ISC */
/*
 * postmap_create: makes, extends (-i) and reduces (-d) the files of hash:, btree:, lmdb: and cdb: tables. Every change is a new
 * file under the old name, so a reader never sees half a table and two postmaps cannot damage one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "commands/postmap.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/table/utf8.h"

static void require_readable(const char *path)
{
    if (access(path, F_OK) < 0)
        log_fatal("open %s: %s", path, strerror(errno));
}

/* What can be made, and of what. */
static const char *source_of(const struct postmap *options, const char *spec, const struct indexed_format **format)
{
    const char *colon = strchr(spec, ':'), *name = colon + 1;
    struct slice type = slice_range(spec, (size_t)(colon - spec));
    if (slice_equal(type, SLICE("proxy")))
        log_fatal("can't create maps via the proxy service");
    if (!options->incremental)
        require_readable(name);
    if (table_type_find(type) == NULL)
        log_fatal("unsupported map type for this operation: %.*s", SLICE_ARGS(type));
    *format = indexed_format_find(type);
    if (*format == NULL)
        log_fatal("unsupported dictionary type: %.*s does not support bulk-mode creation.", SLICE_ARGS(type));
    return name;
}

static bool add_to_map(void *context, struct slice key, struct slice value)
{
    text_map_add(context, key, value, false);
    return true;
}

/* What the file holds now. False: there is none. */
static bool read_built(const struct indexed_format *format, const char *source, struct text_map *map)
{
    char *path = table_built_path(format, source), *error = NULL;
    const char *why = NULL;
    bool exists = access(path, F_OK) == 0;
    if (exists) {
        void *file = format->open(path, &error);
        if (file == NULL)
            log_fatal("%s", error);
        if (!format->walk(file, add_to_map, map, &why))
            log_fatal("error reading %s: %s", path, why);
        format->close(file);
    }
    free(path);
    return exists;
}

/* sendmail's mark of a complete alias database, and what NIS wants to see. */
static void add_alias_signatures(const struct postmap *options, struct text_map *map)
{
    char *now = mem_printf("%010ld", (long)time(NULL));
    text_map_add(map, SLICE("@"), SLICE("@"), true);
    text_map_add(map, SLICE("YP_LAST_MODIFIED"), slice_of(now), true);
    text_map_add(map, SLICE("YP_MASTER_NAME"), slice_of(config_string(options->config, "myhostname")), true);
    free(now);
}

static void write_or_die(const struct postmap *options, const struct indexed_format *format, const char *source,
                         const struct text_map *map, const struct stat *st, bool keeps_time)
{
    char *error = NULL;
    struct stat owner = {0};
    if (st != NULL)
        owner = *st;
    if (st != NULL && !keeps_time)
        clock_gettime(CLOCK_REALTIME, &owner.st_mtim);
    struct table_build build = {
        .format = format, .source = source, .map = map, .st = st != NULL ? &owner : NULL, .as_source_owner = !options->keep_root,
        .default_mode = options->default_mode, .include_nul = options->include_nul,
    };
    if (!table_build_write(&build, &error))
        log_fatal("%s", error);
}

/* As Postfix's messages name "type:path": cdb by its text, hash and btree by Berkeley DB's file, lmdb by its whole name. */
static char *title_of(const char *spec, const char *path)
{
    struct slice type = slice_range(spec, (size_t)(path - 1 - spec));
    if (slice_equal(type, SLICE("lmdb")))
        return mem_strdup(spec);
    return mem_printf("%s%s", path, slice_equal(type, SLICE("cdb")) ? "" : ".db");
}

void postmap_create(const struct postmap *options, const char *spec)
{
    const struct indexed_format *format;
    const char *path = source_of(options, spec, &format);
    struct stat st, source_st;
    char *error = NULL, *title = title_of(spec, path);
    struct text_map *map = text_map_new();
    if (options->incremental)
        read_built(format, path, map);
    struct table_source source = {
        .path = options->incremental ? "-" : path,
        .format = options->aliases ? SOURCE_ALIASES : SOURCE_MAP,
        .fold = options->fold,
        .rhs_is_file = options->rhs_is_file,
        .only_utf8 = options->only_utf8,
        .title = title,
        .duplicates = options->duplicates,
    };
    if (!table_source_read(&source, map, &st, &error))
        log_fatal("%s", error);
    if (options->aliases)
        add_alias_signatures(options, map);
    /* With -i the file is newer than its text from now on: lookup will not make it anew. */
    bool has_source = !options->incremental || stat(path, &source_st) == 0;
    write_or_die(options, format, path, map, options->incremental ? (has_source ? &source_st : NULL) : &st,
                 !options->incremental);
    text_map_free(map);
    free(title);
}

/* --- removing ------------------------------------------------------------------------------ */

static struct text_map *copy_without(const struct text_map *map, struct slice key)
{
    struct text_map *copy = text_map_new();
    struct slice name, value;
    for (size_t i = 0; text_map_at(map, i, &name, &value); i++)
        if (!slice_equal(name, key))
            text_map_add(copy, name, value, false);
    return copy;
}

/* Replaces *map; true when the key was there. */
static bool remove_key(const struct postmap *options, struct text_map **map, const char *text)
{
    struct slice value;
    struct str key = STR_EMPTY;
    if (options->fold)
        utf8_append_folded(&key, slice_of(text));
    else
        str_append(&key, text);
    bool found = text_map_find(*map, str_slice(&key), &value);
    if (found) {
        struct text_map *rest = copy_without(*map, str_slice(&key));
        text_map_free(*map);
        *map = rest;
    }
    str_free(&key);
    return found;
}

static bool remove_from_stdin(const struct postmap *options, struct text_map **map)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len;
    bool found = false;
    while ((len = getline(&line, &size, stdin)) >= 0) {
        if (len > 0 && line[len - 1] == '\n')
            line[len - 1] = '\0';
        found = remove_key(options, map, line) || found;
    }
    free(line);
    return found;
}

static const char *deletable_source(const char *spec, const struct indexed_format **format)
{
    const char *colon = strchr(spec, ':');
    struct slice type = slice_range(spec, (size_t)(colon - spec));
    if (slice_equal(type, SLICE("proxy")))
        log_fatal("%s map requires O_RDONLY access mode", spec);
    if (table_type_find(type) == NULL)
        log_fatal("unsupported dictionary type: %.*s", SLICE_ARGS(type));
    *format = indexed_format_find(type);
    if (*format == NULL)
        log_fatal("%s map requires O_RDONLY access mode", spec);
    return colon + 1;
}

static bool delete_from(const struct postmap *options, const char *spec)
{
    const struct indexed_format *format;
    const char *source = deletable_source(spec, &format);
    struct text_map *map = text_map_new();
    struct stat st;
    if (!read_built(format, source, map))
        log_fatal("open database %s%s: No such file or directory", source, format->suffix);
    bool found = strcmp(options->delete, "-") == 0 ? remove_from_stdin(options, &map)
                                                   : remove_key(options, &map, options->delete);
    if (found)
        write_or_die(options, format, source, map, stat(source, &st) == 0 ? &st : NULL, false);
    text_map_free(map);
    return found;
}

int postmap_delete(const struct postmap *options, char **specs, size_t count)
{
    bool found = false;
    for (size_t i = 0; i < count; i++)
        found = delete_from(options, specs[i]) || found;
    return found ? 0 : 1;
}
