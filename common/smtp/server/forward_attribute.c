/* SPDX-License-Identifier: ISC */
/* forward_attribute: reads what XCLIENT and XFORWARD say about somebody else. Called by these two verbs. Pure. */
#include "common/smtp/server/forward_attribute.h"

#include <arpa/inet.h>

#include "common/mail/dsn_parameter.h"
#include "common/mail/hostname.h"

#define VALUE_LIMIT 255
#define PROTOCOL_LIMIT 64
#define UNAVAILABLE "[UNAVAILABLE]"
#define TEMPORARY "[TEMPUNAVAIL]"

/* One attribute on its way. */
struct attribute {
    const char *name;
    char *value;
    struct arena *arena;
};

static const char *bad_syntax(const struct attribute *attribute)
{
    return arena_printf(attribute->arena, "501 5.5.4 Bad %s syntax: %s", attribute->name, attribute->value);
}

/* The value ends in Received lines and logs: what could end a comment or a quote there becomes '?'. */
static void neuter(char *value)
{
    for (; *value != '\0'; value++)
        if (strchr(" <>()\\\";@", *value) != NULL)
            *value = '?';
}

/* Cuts NAME=value and decodes it; values that are no xtext are taken as they are. NULL, or the refusal. */
static const char *take(const struct smtp_token *token, struct arena *arena, struct attribute *attribute)
{
    char *text = arena_strdup(arena, token->text);
    char *value = strchr(text, '=');
    struct str decoded = STR_EMPTY;
    if (value == NULL || value[1] == '\0')
        return "501 5.5.4 Error: attribute=value expected";
    *value++ = '\0';
    if (strlen(value) > VALUE_LIMIT)
        return "501 5.5.4 Error: attribute value too long";
    *attribute = (struct attribute){text, value, arena};
    if (xtext_decode(slice_of(value), &decoded))
        attribute->value = arena_slice(arena, str_slice(&decoded));
    str_free(&decoded);
    text_make_printable(attribute->value, strlen(attribute->value));
    return NULL;
}

static bool is_unavailable(const struct attribute *attribute)
{
    return text_equal_nocase(attribute->value, UNAVAILABLE);
}

/* --- values -------------------------------------------------------------------------------- */

/* A host name that DNS vouches for, or why there is none. */
static const char *take_name(const struct attribute *attribute, const char **name, enum smtp_name_status *status)
{
    *status = is_unavailable(attribute) ? SMTP_NAME_NONE :
              text_equal_nocase(attribute->value, TEMPORARY) ? SMTP_NAME_TEMPORARY : SMTP_NAME_OK;
    *name = *status == SMTP_NAME_OK ? attribute->value : "unknown";
    return *status != SMTP_NAME_OK || hostname_is_valid(slice_of(attribute->value)) ? NULL : bad_syntax(attribute);
}

static const char *take_upstream_name(const struct attribute *attribute, const char **name)
{
    *name = "unknown";
    if (is_unavailable(attribute))
        return NULL;
    neuter(attribute->value);
    *name = attribute->value;
    return hostname_is_valid(slice_of(attribute->value)) ? NULL : bad_syntax(attribute);
}

/* "192.0.2.1", "IPv6:2001:db8::1", in the form in which we write addresses. */
static const char *take_address(const struct attribute *attribute, const char **address)
{
    unsigned char bytes[16];
    char text[INET6_ADDRSTRLEN];
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    *address = "unknown";
    if (is_unavailable(attribute))
        return NULL;
    neuter(attribute->value);
    struct slice value = slice_of(attribute->value);
    int family = slice_starts_with_nocase(value, SLICE("IPV6:")) ? AF_INET6 : AF_INET;
    if (inet_pton(family, value.data + (family == AF_INET6 ? 5 : 0), bytes) != 1)
        return bad_syntax(attribute);
    const unsigned char *start = bytes;
    if (family == AF_INET6 && memcmp(bytes, mapped, sizeof mapped) == 0) {
        family = AF_INET;
        start += sizeof mapped;
    }
    if (inet_ntop(family, start, text, sizeof text) == NULL)
        return bad_syntax(attribute);
    *address = arena_strdup(attribute->arena, text);
    return NULL;
}

static const char *take_port(const struct attribute *attribute, const char **port)
{
    size_t len = strlen(attribute->value);
    *port = "unknown";
    if (is_unavailable(attribute))
        return NULL;
    for (size_t i = 0; i < len; i++)
        if (!text_is_digit(attribute->value[i]))
            return bad_syntax(attribute);
    if (len > 5 || len == 0)
        return bad_syntax(attribute);
    *port = attribute->value;
    return NULL;
}

static const char *take_text(const struct attribute *attribute, size_t limit, const char *unknown, const char **text)
{
    *text = unknown;
    if (is_unavailable(attribute))
        return NULL;
    if (strlen(attribute->value) > limit)
        return bad_syntax(attribute);
    neuter(attribute->value);
    *text = attribute->value;
    return NULL;
}

static const char *take_xclient_protocol(const struct attribute *attribute, const char **protocol)
{
    *protocol = text_equal_nocase(attribute->value, "ESMTP") ? "ESMTP" : "SMTP";
    return text_equal_nocase(attribute->value, *protocol) ? NULL : bad_syntax(attribute);
}

static const char *take_domain(const struct attribute *attribute, bool *is_local)
{
    *is_local = is_unavailable(attribute) || text_equal_nocase(attribute->value, "LOCAL");
    return *is_local || text_equal_nocase(attribute->value, "REMOTE") ? NULL : bad_syntax(attribute);
}

/* --- commands --------------------------------------------------------------------------------- */

static const struct { const char *name; enum forward_set bit; bool xclient, xforward; } table[] = {
    {"NAME", FORWARD_NAME, true, true},
    {"ADDR", FORWARD_ADDRESS, true, true},
    {"PORT", FORWARD_PORT, true, true},
    {"HELO", FORWARD_HELO, true, true},
    {"PROTO", FORWARD_PROTOCOL, true, true},
    {"REVERSE_NAME", FORWARD_REVERSE_NAME, true, false},
    {"LOGIN", FORWARD_LOGIN, true, false},
    {"DESTADDR", FORWARD_SERVER_ADDRESS, true, false},
    {"DESTPORT", FORWARD_SERVER_PORT, true, false},
    {"IDENT", FORWARD_IDENT, false, true},
    {"SOURCE", FORWARD_DOMAIN, false, true},
};

static unsigned bit_of(const char *name, bool is_xclient)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if ((is_xclient ? table[i].xclient : table[i].xforward) && text_equal_nocase(table[i].name, name))
            return table[i].bit;
    return 0;
}

static const char *store(struct attribute *attribute, unsigned bit, bool is_xclient, struct forward_attributes *out)
{
    switch ((enum forward_set)bit) {
    case FORWARD_NAME:
        return is_xclient ? take_name(attribute, &out->name, &out->name_status) : take_upstream_name(attribute, &out->name);
    case FORWARD_REVERSE_NAME:
        return take_name(attribute, &out->reverse_name, &out->reverse_status);
    case FORWARD_ADDRESS:
        return take_address(attribute, &out->address);
    case FORWARD_SERVER_ADDRESS:
        return take_address(attribute, &out->server_address);
    case FORWARD_PORT:
        return take_port(attribute, &out->port);
    case FORWARD_SERVER_PORT:
        return take_port(attribute, &out->server_port);
    case FORWARD_HELO:
        return take_text(attribute, VALUE_LIMIT, NULL, &out->helo);
    case FORWARD_PROTOCOL:
        return is_xclient ? take_xclient_protocol(attribute, &out->protocol) :
                            take_text(attribute, PROTOCOL_LIMIT, "unknown", &out->protocol);
    case FORWARD_LOGIN:
        out->login = is_unavailable(attribute) ? NULL : attribute->value;
        return NULL;
    case FORWARD_IDENT:
        return take_text(attribute, VALUE_LIMIT, NULL, &out->ident);
    case FORWARD_DOMAIN:
        return take_domain(attribute, &out->is_local);
    }
    return NULL;
}

static const char *parse(const struct smtp_command *command, struct arena *arena, bool is_xclient, struct forward_attributes *out)
{
    *out = (struct forward_attributes){0};
    for (size_t i = 1; i < command->count; i++) {
        struct attribute attribute;
        const char *refusal = take(&command->tokens[i], arena, &attribute);
        if (refusal != NULL)
            return refusal;
        unsigned bit = bit_of(attribute.name, is_xclient);
        if (bit == 0)
            return arena_printf(arena, "501 5.5.4 Bad %s attribute name: %s", is_xclient ? "XCLIENT" : "XFORWARD", attribute.name);
        /* The name as we write it, for replies. */
        for (size_t j = 0; j < sizeof table / sizeof table[0]; j++)
            if (table[j].bit == bit)
                attribute.name = table[j].name;
        refusal = store(&attribute, bit, is_xclient, out);
        if (refusal != NULL)
            return refusal;
        out->set |= bit;
    }
    return NULL;
}

const char *xclient_parse(const struct smtp_command *command, struct arena *arena, struct forward_attributes *attributes)
{
    return parse(command, arena, true, attributes);
}

const char *xforward_parse(const struct smtp_command *command, struct arena *arena, struct forward_attributes *attributes)
{
    return parse(command, arena, false, attributes);
}
