/* SPDX-License-Identifier: ISC */
/* sasl_mechanism: security options, mechanism names, and the login name inside a response. Pure. */
#include "common/sasl/sasl_mechanism.h"

#include "common/sasl/sasl_protocol.h"

#define LONGEST_LOGIN 256 /* bytes that are kept of a name; it is for logs and counters */

static const struct {
    struct slice word;
    uint32_t property;
} options[] = {
    {{"noplaintext", 11}, SASL_NO_PLAINTEXT},   {{"noactive", 8}, SASL_NO_ACTIVE},
    {{"nodictionary", 12}, SASL_NO_DICTIONARY}, {{"noanonymous", 11}, SASL_NO_ANONYMOUS},
    {{"forward_secrecy", 15}, SASL_WANT_FORWARD_SECRECY}, {{"mutual_auth", 11}, SASL_WANT_MUTUAL_AUTH},
};

static uint32_t property_of(struct slice word)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (slice_equal_nocase(word, options[i].word))
            return options[i].property;
    return 0;
}

bool sasl_properties_parse(const char *text, uint32_t *mask, struct slice *bad)
{
    struct slice rest = slice_of(text), word;
    *mask = 0;
    while (slice_next_token(&rest, ", \t\r\n", &word)) {
        uint32_t property = property_of(word);
        if (property == 0) {
            *bad = word;
            return false;
        }
        *mask |= property;
    }
    return true;
}

bool sasl_properties_allow(uint32_t mask, uint32_t traits)
{
    static const struct { uint32_t property, trait; } forbidden[] = {
        {SASL_NO_PLAINTEXT, SASL_TRAIT_PLAINTEXT}, {SASL_NO_ACTIVE, SASL_TRAIT_ACTIVE},
        {SASL_NO_DICTIONARY, SASL_TRAIT_DICTIONARY}, {SASL_NO_ANONYMOUS, SASL_TRAIT_ANONYMOUS}};
    if ((traits & SASL_TRAIT_PRIVATE) != 0)
        return false;
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++)
        if ((mask & forbidden[i].property) != 0 && (traits & forbidden[i].trait) != 0)
            return false;
    if ((mask & SASL_WANT_FORWARD_SECRECY) != 0 && (traits & SASL_TRAIT_FORWARD_SECRECY) == 0)
        return false;
    return (mask & SASL_WANT_MUTUAL_AUTH) == 0 || (traits & SASL_TRAIT_MUTUAL_AUTH) != 0;
}

bool sasl_mechanism_is_valid(struct slice name)
{
    if (name.len == 0 || name.len > 64)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return true;
}

/* --- whose login it is ------------------------------------------------------------------------- */

static void append_name(struct slice name, struct str *login)
{
    if (name.len > LONGEST_LOGIN)
        name.len = LONGEST_LOGIN;
    str_append_slice(login, name);
}

/* Up to the first of these bytes. */
static struct slice up_to(struct slice text, const char *ends, size_t count)
{
    for (size_t i = 0; i < text.len; i++)
        if (memchr(ends, text.data[i], count) != NULL)
            return slice_range(text.data, i);
    return text;
}

/* authzid NUL authcid NUL password (RFC 4616). Without the second NUL it is not known what is the name. */
static void plain_name(struct slice response, struct str *login)
{
    const char *first = response.len > 0 ? memchr(response.data, '\0', response.len) : NULL;
    if (first == NULL)
        return;
    struct slice rest = slice_skip(response, (size_t)(first - response.data) + 1);
    const char *second = rest.len > 0 ? memchr(rest.data, '\0', rest.len) : NULL;
    if (second != NULL)
        append_name(slice_range(rest.data, (size_t)(second - rest.data)), login);
}

/* name SP digest (RFC 2195); the name may hold blanks. */
static void cram_name(struct slice response, struct str *login)
{
    const char *blank = response.len > 0 ? memrchr(response.data, ' ', response.len) : NULL;
    if (blank != NULL)
        append_name(slice_range(response.data, (size_t)(blank - response.data)), login);
}

/* username="name",... (RFC 2831) */
static void digest_name(struct slice response, struct str *login)
{
    static const char key[] = "username=\"";
    const char *at = memmem(response.data, response.len, key, sizeof key - 1);
    if (response.len == 0 || at == NULL)
        return;
    struct slice rest = slice_skip(response, (size_t)(at - response.data) + sizeof key - 1);
    struct slice name = up_to(rest, "\"", 1);
    if (name.len < rest.len)
        append_name(name, login);
}

/* gs2-header n=name,r=nonce (RFC 5802); "=2C" and "=3D" stand for "," and "=". */
static void scram_name(struct slice response, struct str *login)
{
    const char *at = memmem(response.data, response.len, ",n=", 3);
    if (response.len == 0 || at == NULL)
        return;
    struct slice name = up_to(slice_skip(response, (size_t)(at - response.data) + 3), ",", 1);
    for (size_t i = 0; i < name.len && i < LONGEST_LOGIN; i++) {
        struct slice code = slice_range(name.data + i, name.len - i < 3 ? name.len - i : 3);
        bool is_comma = slice_equal_nocase(code, SLICE("=2C")), is_equals = slice_equal_nocase(code, SLICE("=3D"));
        str_append_char(login, is_comma ? ',' : is_equals ? '=' : name.data[i]);
        i += is_comma || is_equals ? 2 : 0;
    }
}

/* user=name ^A auth=Bearer ... (XOAUTH2); n,a=name,^A... (OAUTHBEARER, RFC 7628) */
static void oauth_name(struct slice response, struct slice key, struct str *login)
{
    const char *at = response.len > 0 ? memmem(response.data, response.len, key.data, key.len) : NULL;
    /* The name comes first; further on there is a token, in which the same letters mean nothing. */
    if (at == NULL || at - response.data > 2)
        return;
    struct slice rest = slice_skip(response, (size_t)(at - response.data) + key.len);
    struct slice name = up_to(rest, ",\001", 2);
    if (name.len < rest.len)
        append_name(name, login);
}

void sasl_login_name(struct slice mechanism, unsigned step, struct slice response, struct str *login)
{
    if (step != 0)
        return;
    if (slice_equal_nocase(mechanism, SLICE("PLAIN")))
        plain_name(response, login);
    else if (slice_equal_nocase(mechanism, SLICE("LOGIN")))
        append_name(response, login);
    else if (slice_equal_nocase(mechanism, SLICE("CRAM-MD5")))
        cram_name(response, login);
    else if (slice_equal_nocase(mechanism, SLICE("DIGEST-MD5")))
        digest_name(response, login);
    else if (slice_starts_with_nocase(mechanism, SLICE("SCRAM-")))
        scram_name(response, login);
    else if (slice_equal_nocase(mechanism, SLICE("XOAUTH2")))
        oauth_name(response, SLICE("user="), login);
    else if (slice_equal_nocase(mechanism, SLICE("OAUTHBEARER")))
        oauth_name(response, SLICE("a="), login);
}
