/* SPDX-License-Identifier: ISC */
/* Making the list of one service's certificates: credentials.c for the default ones, sni_tables.c for those by name. */
#ifndef POSTHORN_TLS_CREDENTIAL_BUILDER_H
#define POSTHORN_TLS_CREDENTIAL_BUILDER_H

#include "common/tls/credentials.h"

struct credential_builder {
    struct arena *arena;
    struct tls_credentials *all;
    struct tls_credential_set set;
    size_t room;
};

void credential_add(struct credential_builder *builder, struct tls_credential credential);
/* list: file names, separated as everywhere in main.cf. */
void credential_add_chain(struct credential_builder *builder, const char *server_name, const char *list);

/* tls_server_sni_maps. */
void sni_tables_add(struct credential_builder *builder, const struct config *config);

#endif
