/* SPDX-License-Identifier: ISC */
/* resolve_rewrite: address_rewrite with the resolver's settings, that is for envelopes. Pure. */
#include "common/mail/resolve_internal.h"

void resolve_rewrite_tokens(const struct resolver *resolver, struct tokens *tokens)
{
    rewrite_tokens(&resolver->rewrite, tokens);
}

void resolve_rewrite(const struct resolver *resolver, const char *address, struct arena *arena, char **result)
{
    *result = rewrite_address(&resolver->rewrite, address, arena);
}
