/* SPDX-License-Identifier: ISC */
/*
 * credentials: from configurations to lists of files. Called by the supervisor, at start, at reload and when the text of a
 * table changed; keys decodes what it made. Holds no right but to read tables.
 */
#include "common/tls/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/process/ipc_codec.h"
#include "common/table/text_map.h"

#define TABLE_LIMIT (64 * 1024 * 1024)

/* --- building ------------------------------------------------------------------------------------------ */

struct builder {
    struct arena *arena;
    struct tls_credentials *all;
    struct tls_credential_set set;
    size_t room;
};

static void add(struct builder *builder, struct tls_credential credential)
{
    struct tls_credential_set *set = &builder->set;
    if (set->count == builder->room) {
        builder->room = builder->room * 2 + 4;
        struct tls_credential *grown = arena_alloc_array(builder->arena, builder->room, sizeof *grown);
        if (set->count > 0)
            memcpy(grown, set->list, set->count * sizeof *grown);
        set->list = grown;
    }
    set->list[set->count++] = credential;
}

static void add_pair(struct builder *builder, const char *certificate, const char *key)
{
    if (*certificate == '\0' || text_equal_nocase(certificate, "none"))
        return;
    char **files = arena_alloc_array(builder->arena, 2, sizeof *files);
    files[0] = arena_strdup(builder->arena, certificate);
    files[1] = arena_strdup(builder->arena, *key != '\0' ? key : certificate);
    add(builder, (struct tls_credential){arena_strdup(builder->arena, ""), true, files, 2});
}

static void add_chain(struct builder *builder, const char *server_name, const char *list)
{
    char **items;
    size_t count = config_split_list(list, builder->arena, &items);
    if (count > 0)
        add(builder, (struct tls_credential){arena_strdup(builder->arena, server_name), false, items, count});
}

static void add_default(struct builder *builder, const struct config *config)
{
    const char *chain = config_string(config, "smtpd_tls_chain_files");
    if (*chain != '\0') {
        add_chain(builder, "", chain);
        return;
    }
    add_pair(builder, config_string(config, "smtpd_tls_cert_file"), config_string(config, "smtpd_tls_key_file"));
    add_pair(builder, config_string(config, "smtpd_tls_eccert_file"), config_string(config, "smtpd_tls_eckey_file"));
    add_pair(builder, config_string(config, "smtpd_tls_dcert_file"), config_string(config, "smtpd_tls_dkey_file"));
}

/* --- tables ----------------------------------------------------------------------------------------------- */

static bool read_text(const char *path, struct str *text)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = -1;
    if (fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size <= TABLE_LIMIT) {
        str_reserve(text, (size_t)info.st_size + 1);
        while ((n = read(fd, text->data + text->len, text->cap - text->len - 1)) > 0 && text->cap - text->len > 1)
            text->len += (size_t)n;
    }
    if (n < 0)
        log_warning("tls_server_sni_maps: cannot read %s: %s", path, strerror(errno != 0 ? errno : EINVAL));
    if (fd >= 0)
        close(fd);
    return n >= 0;
}

static void note_table(struct builder *builder, const char *path)
{
    struct tls_credentials *all = builder->all;
    for (size_t i = 0; i < all->table_count; i++)
        if (strcmp(all->tables[i], path) == 0)
            return;
    char **grown = arena_alloc_array(builder->arena, all->table_count + 1, sizeof *grown);
    if (all->table_count > 0)
        memcpy(grown, all->tables, all->table_count * sizeof *grown);
    grown[all->table_count++] = arena_strdup(builder->arena, path);
    all->tables = grown;
}

/* "name  file, file" lines: the text that "postmap -F" makes a table of. The table itself holds the keys of one day. */
static void add_text_table(struct builder *builder, const char *spec, const char *path)
{
    struct text_source source = {0};
    struct text_map *map = text_map_new();
    struct str text = STR_EMPTY;
    struct slice name, files;
    note_table(builder, path);
    if (read_text(path, &text)) {
        text_source_open(&source, path, SOURCE_MAP, str_slice(&text));
        text_map_read(map, &source, true, spec, DUPLICATE_WARN);
        text_source_close(&source);
    }
    for (size_t i = 0; text_map_at(map, i, &name, &files); i++)
        add_chain(builder, arena_slice(builder->arena, name), arena_slice(builder->arena, files));
    text_map_free(map);
    str_free(&text);
}

/* inline:{ name=file, { name = file, file } } */
static void add_inline_table(struct builder *builder, const char *body)
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
        add_chain(builder, name, equals + 1);
    }
}

static void add_server_names(struct builder *builder, const struct config *config)
{
    static const char *const text_types[] = {"hash:", "btree:", "lmdb:", "texthash:", "cdb:", "dbm:"};
    char **specs;
    size_t count = config_split_list(config_string(config, "tls_server_sni_maps"), builder->arena, &specs);
    for (size_t i = 0; i < count; i++) {
        const char *spec = slice_starts_with_nocase(slice_of(specs[i]), SLICE("proxy:")) ? specs[i] + 6 : specs[i];
        bool known = slice_starts_with_nocase(slice_of(spec), SLICE("inline:"));
        if (known)
            add_inline_table(builder, spec + 7);
        for (size_t j = 0; !known && j < sizeof text_types / sizeof text_types[0]; j++) {
            known = slice_starts_with_nocase(slice_of(spec), slice_of(text_types[j]));
            if (known)
                add_text_table(builder, spec, spec + strlen(text_types[j]));
        }
        if (!known)
            log_warning("tls_server_sni_maps: %s is not used: certificates by name come from the text of a hash:, btree:, "
                        "lmdb: or texthash: table, or from inline:", spec);
    }
}

/* --- all services ------------------------------------------------------------------------------------------- */

static void encode_list(const struct tls_credential_set *set, struct str *out)
{
    ipc_put_u32(out, (uint32_t)set->count);
    for (size_t i = 0; i < set->count; i++) {
        ipc_put_text(out, set->list[i].server_name);
        ipc_put_bool(out, set->list[i].is_pair);
        ipc_put_u32(out, (uint32_t)set->list[i].file_count);
        for (size_t j = 0; j < set->list[i].file_count; j++)
            ipc_put_text(out, set->list[i].files[j]);
    }
}

static bool is_same_list(const struct tls_credential_set *one, const struct tls_credential_set *other)
{
    struct str first = STR_EMPTY, second = STR_EMPTY;
    encode_list(one, &first);
    encode_list(other, &second);
    bool same = slice_equal(str_slice(&first), str_slice(&second));
    str_free(&first);
    str_free(&second);
    return same;
}

static void add_service(struct arena *arena, struct tls_credential_set *set, const char *service)
{
    char **grown = arena_alloc_array(arena, set->service_count + 1, sizeof *grown);
    if (set->service_count > 0)
        memcpy(grown, set->services, set->service_count * sizeof *grown);
    grown[set->service_count++] = arena_strdup(arena, service);
    set->services = grown;
}

void tls_credentials_add(struct tls_credentials *credentials, struct arena *arena, const struct config *config,
                         const char *service)
{
    struct builder builder = {.arena = arena, .all = credentials};
    add_default(&builder, config);
    add_server_names(&builder, config);
    for (size_t i = 0; i < credentials->count; i++)
        if (is_same_list(&credentials->sets[i], &builder.set)) {
            add_service(arena, &credentials->sets[i], service);
            return;
        }
    struct tls_credential_set *grown = arena_alloc_array(arena, credentials->count + 1, sizeof *grown);
    if (credentials->count > 0)
        memcpy(grown, credentials->sets, credentials->count * sizeof *grown);
    add_service(arena, &builder.set, service);
    grown[credentials->count++] = builder.set;
    credentials->sets = grown;
}

/* --- the record ----------------------------------------------------------------------------------------------- */

void tls_credentials_encode(const struct tls_credentials *credentials, struct str *out)
{
    ipc_put_u32(out, (uint32_t)credentials->count);
    for (size_t i = 0; i < credentials->count; i++) {
        const struct tls_credential_set *set = &credentials->sets[i];
        ipc_put_u32(out, (uint32_t)set->service_count);
        for (size_t j = 0; j < set->service_count; j++)
            ipc_put_text(out, set->services[j]);
        encode_list(set, out);
    }
}

static void get_texts(struct ipc_reader *reader, struct arena *arena, char ***texts, size_t *count)
{
    *count = ipc_get_count(reader, 4);
    *texts = arena_alloc_array(arena, *count + 1, sizeof **texts);
    for (size_t i = 0; i < *count; i++)
        (*texts)[i] = ipc_get_text(reader, arena);
}

static void get_list(struct ipc_reader *reader, struct arena *arena, struct tls_credential_set *set)
{
    set->count = ipc_get_count(reader, 9);
    set->list = arena_alloc_array(arena, set->count + 1, sizeof *set->list);
    for (size_t i = 0; i < set->count; i++) {
        struct tls_credential *credential = &set->list[i];
        credential->server_name = ipc_get_text(reader, arena);
        credential->is_pair = ipc_get_bool(reader);
        get_texts(reader, arena, &credential->files, &credential->file_count);
        if (credential->file_count == 0 || (credential->is_pair && credential->file_count != 2))
            reader->failed = true;
    }
}

bool tls_credentials_decode(struct slice body, struct arena *arena, struct tls_credentials *credentials)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *credentials = (struct tls_credentials){0};
    credentials->count = ipc_get_count(&reader, 8);
    credentials->sets = arena_alloc_array(arena, credentials->count + 1, sizeof *credentials->sets);
    for (size_t i = 0; i < credentials->count; i++) {
        get_texts(&reader, arena, &credentials->sets[i].services, &credentials->sets[i].service_count);
        get_list(&reader, arena, &credentials->sets[i]);
    }
    return ipc_reader_finish(&reader);
}
