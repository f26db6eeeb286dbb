/* SPDX-License-Identifier: ISC */
/* Next hops from tables, addresses for commands, paths of mailboxes. */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/quote.h"
#include "common/smtp/client/next_hop.h"
#include "virtual/virtual.h"

static void check(bool good)
{
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    char *text = arena_strndup(arena, (const char *)data, size);
    struct smtp_next_hop hop;
    const char *error;
    struct str out = STR_EMPTY;
    if (smtp_next_hop_parse(text, "lmtp", arena, &hop, &error))
        check(hop.endpoint != NULL && (hop.path != NULL || (hop.host[0] != '\0' && hop.port > 0 && hop.port < 65536)));
    else
        check(error != NULL);
    if (quote_is_safe(text)) {
        quote_append_address(&out, text);
        check(quote_is_safe(str_text(&out)) && out.len >= strlen(text));
    }
    str_clear(&out);
    quote_append_xtext(&out, text);
    for (size_t i = 0; i < out.len; i++)
        check(out.data[i] > ' ' && out.data[i] < 127 && out.data[i] != '=');
    char *path = mailbox_path("/base", text, arena);
    check(path == NULL || (strstr(path, "/../") == NULL && strncmp(path, "/base/", 6) == 0));
    str_free(&out);
    arena_free(arena);
    return 0;
}
