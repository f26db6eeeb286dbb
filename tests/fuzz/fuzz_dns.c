/* SPDX-License-Identifier: ISC */
/* What a name server says, and the records between the resolver and its clients. The first byte chooses. */
#include <stdint.h>

#include "common/base/log.h"
#include "resolver/resolver.h"

static const enum dns_type types[] = {DNS_A, DNS_NS, DNS_CNAME, DNS_SOA, DNS_PTR, DNS_MX, DNS_TXT, DNS_AAAA};

/* What was understood survives its own encoding. */
static void check_answer(const struct dns_answer *answer, struct arena *arena)
{
    struct str once = STR_EMPTY, twice = STR_EMPTY;
    struct dns_answer copy;
    dns_answer_encode(answer, &once);
    if (!dns_answer_decode(str_slice(&once), arena, &copy))
        log_panic("an answer cannot be decoded");
    dns_answer_encode(&copy, &twice);
    if (!slice_equal(str_slice(&once), str_slice(&twice)))
        log_panic("an answer changed");
    str_free(&once);
    str_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct dns_answer answer;
    struct dns_peername peer;
    char *alias;
    if (size > 0) {
        unsigned char choice = *data++;
        size--;
        if (choice < 8) {
            if (dns_message_read(data, size, "a.test", types[choice], arena, &answer, &alias))
                check_answer(&answer, arena);
        } else if (choice == 8) {
            if (dns_answer_decode(slice_range((const char *)data, size), arena, &answer))
                check_answer(&answer, arena);
        } else if (choice == 9) {
            if (!dns_peername_decode(slice_range((const char *)data, size), arena, &peer))
                peer.name = NULL;
        } else {
            struct resolv_conf conf;
            resolv_conf_parse(slice_range((const char *)data, size), &conf);
            str_free(&conf.servers);
        }
    }
    arena_free(arena);
    return 0;
}
