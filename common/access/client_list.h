/* SPDX-License-Identifier: ISC */
/*
 * A Postfix match list of client addresses (mynetworks and its kind): networks, addresses, "!" for "not", files
 * and lookup tables. Networks are compared here, tables asked of lookup.
 */
#ifndef POSTHORN_ACCESS_CLIENT_LIST_H
#define POSTHORN_ACCESS_CLIENT_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"

struct client_list_item {
    bool negated;
    const char *table; /* "type:name", or NULL for a network */
    const char *text;  /* as written: host names and such compare as text */
    int family;        /* AF_INET, AF_INET6, or 0 for text */
    unsigned char network[16];
    unsigned prefix;
};

struct client_list {
    const char *parameter;
    struct client_list_item *items;
    size_t count;
};

enum client_list_result { CLIENT_LIST_NO = 0, CLIENT_LIST_YES, CLIENT_LIST_UNKNOWN /* a table failed */ };

/* Parses the value. Files named in it are read now. Memory from the arena. */
void client_list_parse(struct client_list *list, const char *parameter, const char *value, struct arena *arena);
void client_list_add_address(struct client_list *list, const char *address, struct arena *arena);
/* First match wins. May wait when a table must be asked. */
enum client_list_result client_list_find(const struct client_list *list, const char *name, const char *address,
                                  struct arena *scratch);
/* One network, pure: "192.0.2.0/24", "[2001:db8::]/32", "192.0.2.1". False: not an address or network. */
bool client_list_parse_network(const char *text, struct client_list_item *item);

#endif
