/* SPDX-License-Identifier: ISC */
/* protocols: TLS versions, cipher grades, option names and log levels as main.cf writes them. Pure but for warnings. */
#include "common/tls/protocols.h"

#include <openssl/ssl.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"

#define SEPARATORS ", \t\r\n:"

/* --- versions ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    int version;
    uint64_t exclusion;
} versions[] = {
    {"SSLv2", 2, 0}, /* gone from the library: excluded whatever main.cf says */
    {"SSLv3", SSL3_VERSION, SSL_OP_NO_SSLv3},
    {"TLSv1", TLS1_VERSION, SSL_OP_NO_TLSv1},
    {"TLSv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1},
    {"TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2},
    {"TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3},
};
#define VERSION_COUNT (sizeof versions / sizeof versions[0])

static int find_version(struct slice name)
{
    for (size_t i = 0; i < VERSION_COUNT; i++)
        if (slice_equal_nocase(name, slice_of(versions[i].name)))
            return (int)i;
    return -1;
}

/* A bound: a name, "None", or the number on the wire in hexadecimal. */
static bool parse_bound(struct slice text, int *version)
{
    int found = find_version(text);
    unsigned long number = 0;
    if (found > 0 || slice_equal_nocase(text, SLICE("None"))) {
        *version = found > 0 ? versions[found].version : 0;
        return true;
    }
    if (text.len == 0 || text.len > 6 || found == 0)
        return false;
    if (slice_starts_with_nocase(text, SLICE("0x")))
        text = slice_skip(text, 2);
    for (size_t i = 0; i < text.len; i++) {
        char c = text_lower_char(text.data[i]);
        if (!text_is_digit(c) && (c < 'a' || c > 'f'))
            return false;
        number = number * 16 + (unsigned)(text_is_digit(c) ? c - '0' : c - 'a' + 10);
    }
    *version = (int)number;
    return text.len > 0;
}

bool tls_protocols_parse(const char *text, struct tls_protocols *protocols)
{
    struct slice rest = slice_of(text), word;
    uint64_t included = 0, all = 0;
    bool any_included = false;
    *protocols = (struct tls_protocols){0};
    for (size_t i = 0; i < VERSION_COUNT; i++)
        all |= versions[i].exclusion;
    while (slice_next_token(&rest, SEPARATORS, &word)) {
        if (word.len > 2 && (word.data[0] == '>' || word.data[0] == '<') && word.data[1] == '=') {
            int *bound = word.data[0] == '>' ? &protocols->lowest : &protocols->highest;
            if (!parse_bound(slice_skip(word, 2), bound))
                return false;
            continue;
        }
        bool excludes = word.data[0] == '!';
        int found = find_version(excludes ? slice_skip(word, 1) : word);
        if (found < 0)
            return false;
        if (excludes)
            protocols->exclusions |= versions[found].exclusion;
        else
            included |= versions[found].exclusion;
        any_included = any_included || !excludes;
    }
    if (any_included)
        protocols->exclusions |= all & ~included;
    return true;
}

/* --- ciphers ---------------------------------------------------------------------------------------- */

const char *tls_cipher_parameter(const char *grade)
{
    static const struct { const char *grade, *parameter; } grades[] = {
        {"high", "tls_high_cipherlist"}, {"medium", "tls_medium_cipherlist"}, {"null", "tls_null_cipherlist"},
        {"low", "tls_medium_cipherlist"}, {"export", "tls_medium_cipherlist"}, /* as Postfix since 3.8 */
    };
    for (size_t i = 0; i < sizeof grades / sizeof grades[0]; i++)
        if (text_equal_nocase(grades[i].grade, grade))
            return grades[i].parameter;
    return NULL;
}

char *tls_cipher_list(const char *base, const char *exclusions, const char **bad)
{
    struct str list = STR_EMPTY;
    struct slice rest = slice_of(exclusions), word;
    str_append(&list, base);
    while (slice_next_token(&rest, SEPARATORS, &word)) {
        if (strchr("!+-@", word.data[0]) != NULL) {
            *bad = word.data;
            str_free(&list);
            return NULL;
        }
        str_printf(&list, ":!%.*s", SLICE_ARGS(word));
    }
    return str_detach(&list);
}

/* --- options ------------------------------------------------------------------------------------------ */

struct option_name {
    const char *name;
    uint64_t bits;
};

/* Names of workarounds for bugs of long ago are accepted; most are no bits any more. */
static const struct option_name workarounds[] = {
    {"MICROSOFT_SESS_ID_BUG", 0}, {"NETSCAPE_CHALLENGE_BUG", 0}, {"NETSCAPE_REUSE_CIPHER_CHANGE_BUG", 0},
    {"CVE-2010-4180", 0}, {"SSLREF2_REUSE_CERT_TYPE_BUG", 0}, {"MICROSOFT_BIG_SSLV3_BUFFER", 0},
    {"MSIE_SSLV2_RSA_PADDING", 0}, {"CVE-2005-2969", 0}, {"SSLEAY_080_CLIENT_DH_BUG", 0}, {"TLS_D5_BUG", 0},
    {"TLS_BLOCK_PADDING_BUG", 0}, {"TLS_ROLLBACK_BUG", 0}, {"LEGACY_SERVER_CONNECT", SSL_OP_LEGACY_SERVER_CONNECT},
    {"DONT_INSERT_EMPTY_FRAGMENTS", SSL_OP_DONT_INSERT_EMPTY_FRAGMENTS},
    {"CRYPTOPRO_TLSEXT_BUG", SSL_OP_CRYPTOPRO_TLSEXT_BUG}, {"TLSEXT_PADDING", SSL_OP_TLSEXT_PADDING},
};

static const struct option_name options[] = {
    {"LEGACY_SERVER_CONNECT", SSL_OP_LEGACY_SERVER_CONNECT}, {"NO_TICKET", SSL_OP_NO_TICKET},
    {"NO_COMPRESSION", SSL_OP_NO_COMPRESSION}, {"NO_RENEGOTIATION", SSL_OP_NO_RENEGOTIATION},
    {"NO_SESSION_RESUMPTION_ON_RENEGOTIATION", SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION},
    {"PRIORITIZE_CHACHA", SSL_OP_PRIORITIZE_CHACHA}, {"ENABLE_MIDDLEBOX_COMPAT", SSL_OP_ENABLE_MIDDLEBOX_COMPAT},
};

static bool parse_option(struct slice word, const struct option_name *names, size_t count, uint64_t *bits)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal_nocase(word, slice_of(names[i].name))) {
            *bits |= names[i].bits;
            return true;
        }
    char *text = mem_strndup(word.data, word.len), *end = text;
    uint64_t number = slice_starts_with_nocase(word, SLICE("0x")) ? strtoull(text, &end, 16) : 0;
    bool is_number = end != text && *end == '\0';
    free(text);
    if (is_number)
        *bits |= number;
    return is_number;
}

static uint64_t parse_options(const char *text, const struct option_name *names, size_t count, const char *parameter)
{
    struct slice rest = slice_of(text), word;
    uint64_t bits = 0;
    while (slice_next_token(&rest, SEPARATORS, &word))
        if (!parse_option(word, names, count, &bits))
            log_warning("unknown %s value \"%.*s\" in \"%s\"", parameter, SLICE_ARGS(word), text);
    return bits;
}

uint64_t tls_options_parse(const char *text, const char *parameter)
{
    /* Versions and ciphers have parameters of their own; a number must not say otherwise. */
    const uint64_t managed = SSL_OP_NO_SSL_MASK | SSL_OP_CIPHER_SERVER_PREFERENCE;
    return parse_options(text, options, sizeof options / sizeof options[0], parameter) & ~managed & ~(uint64_t)SSL_OP_ALL;
}

uint64_t tls_workarounds_parse(const char *text, const char *parameter)
{
    uint64_t disabled = parse_options(text, workarounds, sizeof workarounds / sizeof workarounds[0], parameter);
    return (uint64_t)SSL_OP_ALL & ~disabled;
}

/* --- logging -------------------------------------------------------------------------------------------- */

unsigned tls_log_parse(const char *text, const char *parameter)
{
    enum { LEVEL_1 = TLS_LOG_SUMMARY, LEVEL_2 = LEVEL_1 | TLS_LOG_VERBOSE | TLS_LOG_CACHE | TLS_LOG_DEBUG };
    /* Dumps of packets hold what TLS is there to hide: levels 3 and 4 say no more than 2. */
    static const struct { const char *name; unsigned mask; } levels[] = {
        {"0", 0}, {"none", 0}, {"1", LEVEL_1}, {"routine", LEVEL_1}, {"2", LEVEL_2}, {"debug", LEVEL_2}, {"3", LEVEL_2},
        {"ssl-expert", LEVEL_2}, {"4", LEVEL_2}, {"ssl-developer", LEVEL_2}, {"5", LEVEL_2}, {"6", LEVEL_2}, {"7", LEVEL_2},
        {"8", LEVEL_2}, {"9", LEVEL_2}, {"summary", TLS_LOG_SUMMARY}, {"untrusted", TLS_LOG_UNTRUSTED},
        {"peercert", TLS_LOG_PEER_CERTIFICATE}, {"certmatch", 0}, {"verbose", TLS_LOG_VERBOSE}, {"cache", TLS_LOG_CACHE},
        {"dane", 0}, {"ssl-debug", TLS_LOG_DEBUG}, {"ssl-handshake-packet-dump", 0}, {"ssl-session-packet-dump", 0},
        {"trace", 0},
    };
    struct slice rest = slice_of(text), word;
    unsigned mask = 0;
    while (slice_next_token(&rest, SEPARATORS, &word)) {
        size_t i = 0;
        while (i < sizeof levels / sizeof levels[0] && !slice_equal_nocase(word, slice_of(levels[i].name)))
            i++;
        if (i == sizeof levels / sizeof levels[0])
            log_warning("unknown %s value \"%.*s\" in \"%s\"", parameter, SLICE_ARGS(word), text);
        else
            mask |= levels[i].mask;
    }
    return mask;
}
