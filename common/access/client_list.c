/* SPDX-License-Identifier: ISC */
/* client_list: which clients belong to a list. Parsed in role->open with the rights of the caller; matched per session. */
#include "common/access/client_list.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/config/config.h"
#include "common/access/access.h"

#define NESTED_FILES 10

static bool parse_address(const char *text, int *family, unsigned char address[16])
{
    *family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    return inet_pton(*family, text, address) == 1;
}

bool client_list_parse_network(const char *text, struct client_list_item *item)
{
    char copy[INET6_ADDRSTRLEN + 8];
    size_t len = strlen(text);
    if (len == 0 || len >= sizeof copy)
        return false;
    memcpy(copy, text, len + 1);
    char *slash = strchr(copy, '/');
    if (slash != NULL)
        *slash++ = '\0';
    char *start = copy;
    size_t left = strlen(copy);
    if (start[0] == '[' && left > 1 && start[left - 1] == ']') {
        start[left - 1] = '\0';
        start++;
    }
    if (!parse_address(start, &item->family, item->network))
        return false;
    unsigned bits = item->family == AF_INET ? 32 : 128;
    uint64_t prefix = bits;
    if (slash != NULL && (!slice_to_u64(slice_of(slash), &prefix) || prefix > bits))
        return false;
    item->prefix = (unsigned)prefix;
    return true;
}

static bool in_network(const struct client_list_item *item, int family, const unsigned char address[16])
{
    unsigned whole = item->prefix / 8, rest = item->prefix % 8;
    if (item->family != family || memcmp(item->network, address, whole) != 0)
        return false;
    unsigned char mask = (unsigned char)(0xff00u >> rest);
    return rest == 0 || (item->network[whole] & mask) == (address[whole] & mask);
}

static struct client_list_item *add_item(struct client_list *list, struct arena *arena)
{
    struct client_list_item *grown = arena_alloc_array(arena, list->count + 1, sizeof *grown);
    if (list->count > 0)
        memcpy(grown, list->items, list->count * sizeof *grown);
    list->items = grown;
    return &grown[list->count++];
}

void client_list_add_address(struct client_list *list, const char *address, struct arena *arena)
{
    struct client_list_item item = {.text = arena_strdup(arena, address)};
    if (client_list_parse_network(address, &item))
        *add_item(list, arena) = item;
}

static void parse_items(struct client_list *list, const char *value, struct arena *arena, unsigned depth);

/* "/etc/postfix/networks": one or more patterns a line, "#" begins a comment. */
static void parse_file(struct client_list *list, const char *path, struct arena *arena, unsigned depth)
{
    char line[1024];
    FILE *file = depth < NESTED_FILES ? fopen(path, "re") : NULL;
    if (file == NULL) {
        log_warning("%s: open %s: %s", list->parameter, path, depth < NESTED_FILES ? strerror(errno) : "nested too deep");
        return;
    }
    while (fgets(line, sizeof line, file) != NULL)
        if (line[0] != '#')
            parse_items(list, line, arena, depth + 1);
    if (ferror(file) || fclose(file) != 0)
        log_warning("%s: read %s: %m", list->parameter, path);
}

static void parse_item(struct client_list *list, const char *text, struct arena *arena, unsigned depth)
{
    struct client_list_item item = {0};
    const char *pattern = text;
    while (*pattern == '!') {
        item.negated = !item.negated;
        pattern++;
    }
    if (*pattern == '/') {
        size_t first = list->count;
        parse_file(list, pattern, arena, depth);
        for (size_t i = first; item.negated && i < list->count; i++)
            list->items[i].negated = !list->items[i].negated;
        return;
    }
    item.text = arena_strdup(arena, pattern);
    if (!client_list_parse_network(pattern, &item)) {
        item.family = 0;
        if (strchr(pattern, ':') != NULL && pattern[0] != '[')
            item.table = item.text;
        else if (strchr(pattern, '/') != NULL)
            log_warning("%s: bad network/mask pattern: \"%s\"", list->parameter, pattern);
    }
    *add_item(list, arena) = item;
}

static void parse_items(struct client_list *list, const char *value, struct arena *arena, unsigned depth)
{
    char **items;
    size_t count = config_split_list(value, arena, &items);
    for (size_t i = 0; i < count; i++)
        parse_item(list, items[i], arena, depth);
}

void client_list_parse(struct client_list *list, const char *parameter, const char *value, struct arena *arena)
{
    *list = (struct client_list){.parameter = parameter};
    parse_items(list, value, arena, 0);
}

static enum client_list_result match_table(const struct client_list *list, const char *table, const char *name,
                                     const char *address, struct arena *scratch)
{
    const char *const keys[2] = {name, address};
    for (unsigned i = 0; i < 2; i++) {
        struct table_answer answer;
        if (keys[i] == NULL || strcmp(keys[i], "unknown") == 0)
            continue;
        if (!lookup_find(table, KEY_EXACT, list->parameter, keys[i], scratch, &answer))
            return CLIENT_LIST_UNKNOWN;
        if (answer.status == TABLE_ERROR) {
            log_warning("%s: %s: table lookup problem", list->parameter, table);
            return CLIENT_LIST_UNKNOWN;
        }
        if (answer.status == TABLE_FOUND)
            return CLIENT_LIST_YES;
    }
    return CLIENT_LIST_NO;
}

enum client_list_result client_list_find(const struct client_list *list, const char *name, const char *address,
                                  struct arena *scratch)
{
    int family;
    unsigned char bytes[16] = {0};
    if (!parse_address(address, &family, bytes))
        family = -1;
    for (size_t i = 0; i < list->count; i++) {
        const struct client_list_item *item = &list->items[i];
        enum client_list_result result = CLIENT_LIST_NO;
        if (item->table != NULL)
            result = match_table(list, item->table, name, address, scratch);
        else if (item->family != 0)
            result = in_network(item, family, bytes) ? CLIENT_LIST_YES : CLIENT_LIST_NO;
        else if (text_equal_nocase(item->text, address) || (name != NULL && text_equal_nocase(item->text, name)) ||
                 strcmp(item->text, "static:all") == 0)
            result = CLIENT_LIST_YES;
        if (result == CLIENT_LIST_UNKNOWN)
            return result;
        if (result == CLIENT_LIST_YES)
            return item->negated ? CLIENT_LIST_NO : CLIENT_LIST_YES;
    }
    return CLIENT_LIST_NO;
}
