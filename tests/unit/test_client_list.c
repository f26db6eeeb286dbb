/* SPDX-License-Identifier: ISC */
/* mynetworks and its kind: which addresses belong; attack 22: what is written narrow stays narrow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/access/access.h"

struct smtpd_settings smtpd;

/* A table that knows one address, and one that is broken. */
bool lookup_find(const char *maps, enum table_key_kind kind, const char *parameter, const char *key, struct arena *arena,
                 struct table_answer *answer)
{
    (void)kind;
    (void)parameter;
    (void)arena;
    if (strcmp(maps, "fail:x") == 0)
        return false;
    answer->status = strcmp(key, "192.0.2.77") == 0 ? TABLE_FOUND : TABLE_NOT_FOUND;
    return true;
}

static const struct { const char *list; const char *address; enum client_list_result result; } cases[] = {
    {"127.0.0.0/8", "127.0.0.1", CLIENT_LIST_YES},
    {"127.0.0.0/8", "128.0.0.1", CLIENT_LIST_NO},
    {"127.0.0.0/8 [::1]/128", "::1", CLIENT_LIST_YES},
    {"[::ffff:127.0.0.0]/104 [::1]/128", "::2", CLIENT_LIST_NO},
    {"192.0.2.1", "192.0.2.1", CLIENT_LIST_YES},
    {"192.0.2.1", "192.0.2.10", CLIENT_LIST_NO},
    {"192.0.2.128/25", "192.0.2.127", CLIENT_LIST_NO},
    {"192.0.2.128/25", "192.0.2.255", CLIENT_LIST_YES},
    {"!192.0.2.1, 192.0.2.0/24", "192.0.2.1", CLIENT_LIST_NO},
    {"!192.0.2.1, 192.0.2.0/24", "192.0.2.2", CLIENT_LIST_YES},
    {"[2001:db8::]/33", "2001:db8:7fff::1", CLIENT_LIST_YES},
    {"[2001:db8::]/33", "2001:db8:8000::1", CLIENT_LIST_NO},
    {"2001:db8::/32", "2001:db8::1", CLIENT_LIST_YES},
    {"0.0.0.0/0", "203.0.113.9", CLIENT_LIST_YES},
    {"0.0.0.0/0", "2001:db8::1", CLIENT_LIST_NO},
    {"192.0.2.0/33", "192.0.2.1", CLIENT_LIST_NO},
    {"192.0.2.0/x", "192.0.2.0", CLIENT_LIST_NO},
    {"", "192.0.2.1", CLIENT_LIST_NO},
    {"hash:/x", "192.0.2.77", CLIENT_LIST_YES},
    {"hash:/x", "192.0.2.78", CLIENT_LIST_NO},
    {"!hash:/x 192.0.2.0/24", "192.0.2.77", CLIENT_LIST_NO},
    {"fail:x 0.0.0.0/0", "192.0.2.1", CLIENT_LIST_UNKNOWN},
    {"192.0.2.0/24", "unknown", CLIENT_LIST_NO},
};

static void addresses_are_found(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client_list list;
        client_list_parse(&list, "mynetworks", cases[i].list, arena);
        if (client_list_find(&list, "unknown", cases[i].address, arena) != cases[i].result)
            fail_msg("\"%s\" and %s", cases[i].list, cases[i].address);
    }
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses_are_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
