/* SPDX-License-Identifier: ISC */
/* XCLIENT and XFORWARD attributes from a proxy: whatever comes, what is kept is printable and bounded. */
#include <stdlib.h>

#include "common/smtp/server/forward_attribute.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void check(const char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 127)
            abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct arena *arena = arena_new();
    struct smtp_command command;
    struct forward_attributes said;
    smtp_command_parse(slice_range((const char *)data, size), arena, &command);
    for (unsigned i = 0; i < 2; i++) {
        const char *refusal = i == 0 ? xclient_parse(&command, arena, &said) : xforward_parse(&command, arena, &said);
        if (refusal != NULL)
            continue;
        const char *const texts[] = {said.name, said.reverse_name, said.address, said.port, said.helo, said.protocol, said.login,
                                     said.server_address, said.server_port, said.ident};
        for (size_t j = 0; j < sizeof texts / sizeof texts[0]; j++)
            check(texts[j]);
    }
    arena_free(arena);
    return 0;
}
