/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: any address through rewriting, resolving, validation and alias expansion. Whatever comes out as an address
 * without a syntax error has exactly a domain, and a class.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/mail/resolve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct resolver *make_resolver(void)
{
    static const char *const settings[][2] = {
        {"compatibility_level", "3.6"},
        {"inet_interfaces", "127.0.0.1"},
        {"myhostname", "m.example"},
        {"mydestination", "localhost, m.example"},
        {"virtual_mailbox_domains", "v.example"},
        {"virtual_alias_domains", ""},
        {"virtual_alias_maps", "inline:{ {a@v.example=b@v.example,c}, {@v.example=@w.example}, {b=\"x y\"@z (c), <d@e>} }"},
        {"local_recipient_maps", "inline:{u=1}"},
        {"recipient_delimiter", "+-"},
        {"transport_maps", "inline:{ {.example=x:}, {w.example=:y} }"},
    };
    struct config *config = config_new_default();
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        config_set(config, settings[i][0], settings[i][1]);
    return resolver_new(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct resolver *resolver;
    if (resolver == NULL)
        resolver = make_resolver();
    if (size > 2000)
        return 0;
    struct arena *arena = arena_new();
    struct address_answer answer;
    struct route route;
    char *address = mem_strndup((const char *)data, size);
    resolve_question(resolver, address, ADDRESS_EXPAND, arena, CLOCK_NEVER, &answer);
    if (answer.validity == ADDRESS_ERROR || answer.expanded_count == 0)
        abort();
    if (!answer.bad_syntax && (strrchr(answer.address, '@') == NULL || *answer.transport == '\0' || *answer.next_hop == '\0'))
        abort();
    resolve_route(resolver, "", address, arena, CLOCK_NEVER, &route);
    if (route.status != TABLE_FOUND || *route.transport == '\0')
        abort();
    free(address);
    arena_free(arena);
    return 0;
}
