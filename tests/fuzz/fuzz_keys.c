/* SPDX-License-Identifier: ISC */
/* What keys reads: requests of services, the supervisor's plan, PEM text, tables. The first byte says which. */
#include <stdlib.h>

#include "keys/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_pem(struct slice text)
{
    struct pem_file file;
    const struct pem_file *files[1] = {&file};
    struct chain *chains = NULL;
    size_t count = 0;
    char *problem = NULL;
    pem_parse(text, &file);
    if (file.problem == NULL && pem_make_chains(files, 1, &chains, &count, &problem))
        for (size_t i = 0; i < count; i++)
            chain_free(&chains[i]);
    free(chains);
    free(problem);
    pem_free(&file);
}

static void read_entry(void *context, struct slice key, struct slice value)
{
    unsigned *sum = context;
    for (size_t i = 0; i < key.len; i++)
        *sum += (unsigned char)key.data[i];
    for (size_t i = 0; i < value.len; i++)
        *sum += (unsigned char)value.data[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned sum = 0;
    struct arena *arena = arena_new();
    struct keys_sign sign;
    struct keys_identity identity;
    struct tls_credentials credentials;
    struct slice body = slice_range((const char *)data + 1, size > 0 ? size - 1 : 0);
    if (size > 0 && data[0] == 's' && keys_sign_decode(body, arena, &sign))
        (void)keys_message_is_handshake(sign.message);
    if (size > 0 && data[0] == 'm')
        (void)keys_message_is_handshake(body);
    if (size > 0 && data[0] == 'i' && keys_identity_decode(body, arena, &identity)) {
        struct str again = STR_EMPTY;
        keys_identity_encode(&identity, &again);
        if (!slice_equal(str_slice(&again), body))
            abort();
        str_free(&again);
    }
    if (size > 0 && data[0] == 'c' && tls_credentials_decode(body, arena, &credentials)) {
        struct str again = STR_EMPTY;
        tls_credentials_encode(&credentials, &again);
        if (!slice_equal(str_slice(&again), body))
            abort();
        str_free(&again);
    }
    if (size > 0 && data[0] == 'p')
        parse_pem(body);
    if (size > 0 && data[0] == 't')
        (void)built_table_walk(body, read_entry, &sum);
    arena_free(arena);
    return 0;
}
