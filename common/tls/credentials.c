/* SPDX-License-Identifier: ISC */
/*
 * credentials: from configurations to lists of files. Called by the supervisor, at start, at reload and when the text of a
 * table changed; keys decodes what it made. Holds no right but to read tables.
 */
#include "common/tls/credentials.h"

#include "common/process/ipc_codec.h"
#include "common/tls/credential_builder.h"

/* --- building ------------------------------------------------------------------------------------------ */

void credential_add(struct credential_builder *builder, struct tls_credential credential)
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

static void add_pair(struct credential_builder *builder, const char *certificate, const char *key)
{
    if (*certificate == '\0' || text_equal_nocase(certificate, "none"))
        return;
    char **files = arena_alloc_array(builder->arena, 2, sizeof *files);
    files[0] = arena_strdup(builder->arena, certificate);
    files[1] = arena_strdup(builder->arena, *key != '\0' ? key : certificate);
    credential_add(builder, (struct tls_credential){arena_strdup(builder->arena, ""), CREDENTIAL_PAIR, files, 2});
}

void credential_add_chain(struct credential_builder *builder, const char *server_name, const char *list)
{
    char **items;
    size_t count = config_split_list(list, builder->arena, &items);
    if (count > 0)
        credential_add(builder, (struct tls_credential){arena_strdup(builder->arena, server_name), CREDENTIAL_CHAIN, items, count});
}

static void add_default(struct credential_builder *builder, const struct config *config)
{
    const char *chain = config_string(config, "smtpd_tls_chain_files");
    if (*chain != '\0') {
        credential_add_chain(builder, "", chain);
        return;
    }
    add_pair(builder, config_string(config, "smtpd_tls_cert_file"), config_string(config, "smtpd_tls_key_file"));
    add_pair(builder, config_string(config, "smtpd_tls_eccert_file"), config_string(config, "smtpd_tls_eckey_file"));
    add_pair(builder, config_string(config, "smtpd_tls_dcert_file"), config_string(config, "smtpd_tls_dkey_file"));
}

/* --- all services ------------------------------------------------------------------------------------------- */

static void encode_list(const struct tls_credential_set *set, struct str *out)
{
    ipc_put_u32(out, (uint32_t)set->count);
    for (size_t i = 0; i < set->count; i++) {
        ipc_put_text(out, set->list[i].server_name);
        ipc_put_u8(out, (uint8_t)set->list[i].kind);
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
    struct credential_builder builder = {.arena = arena, .all = credentials};
    add_default(&builder, config);
    sni_tables_add(&builder, config);
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
        unsigned kind = ipc_get_u8(reader);
        credential->kind = kind;
        get_texts(reader, arena, &credential->files, &credential->file_count);
        if (kind > CREDENTIAL_TABLE || credential->file_count == 0 || (kind == CREDENTIAL_PAIR && credential->file_count != 2) ||
            (kind == CREDENTIAL_TABLE && credential->file_count != 1))
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
