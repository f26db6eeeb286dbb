/* SPDX-License-Identifier: ISC */
/* probe_sender: "double-bounce@us", or "double-bounceJQY1@us" with the number of the period behind the name. Pure. */
#include "common/mail/probe_sender.h"

/* Postfix's digits, without vowels: no address spells a word. Numbers are to base 31. */
static const char digits[] = "0123456789BCDFGHJKLMNPQRSTVWXYZ";
#define BASE 31

static void put_number(struct str *out, uint64_t number)
{
    char text[16];
    size_t at = sizeof text;
    do {
        text[--at] = digits[number % BASE];
        number /= BASE;
    } while (number > 0 && at > 0);
    str_append_bytes(out, text + at, sizeof text - at);
}

/* The configured sender's local part and domain. False: the null sender. */
static bool split_sender(const struct config *config, struct slice *local, struct slice *domain)
{
    const char *sender = config_string(config, "address_verify_sender");
    const char *at = strrchr(sender, '@');
    if (*sender == '\0' || strcmp(sender, "<>") == 0)
        return false;
    *local = at != NULL ? slice_range(sender, (size_t)(at - sender)) : slice_of(sender);
    *domain = slice_of(at != NULL ? at + 1 : config_string(config, "myorigin"));
    return true;
}

static char *make(const struct config *config, struct slice local, struct slice domain, int64_t period, struct arena *arena)
{
    struct str text = STR_EMPTY;
    str_append_slice(&text, local);
    if (config_seconds(config, "address_verify_sender_ttl") > 0)
        put_number(&text, period > 0 ? (uint64_t)period : 0);
    str_append_char(&text, '@');
    str_append_slice(&text, domain);
    char *sender = arena_slice(arena, str_slice(&text));
    str_free(&text);
    return sender;
}

static int64_t period_of(const struct config *config, int64_t now)
{
    int64_t ttl = config_seconds(config, "address_verify_sender_ttl");
    return ttl > 0 ? now / ttl : 0;
}

char *probe_sender_make(const struct config *config, int64_t now, struct arena *arena)
{
    struct slice local, domain;
    if (!split_sender(config, &local, &domain))
        return arena_strdup(arena, "");
    return make(config, local, domain, period_of(config, now), arena);
}

bool probe_sender_matches(const struct config *config, const char *address, int64_t now)
{
    struct slice local, domain;
    bool matches = false;
    if (!split_sender(config, &local, &domain) || !slice_starts_with_nocase(slice_of(address), local))
        return false;
    struct arena *arena = arena_new();
    for (int64_t shift = -1; shift <= 1 && !matches; shift++)
        matches = text_equal_nocase(make(config, local, domain, period_of(config, now) + shift, arena), address);
    arena_free(arena);
    return matches;
}
