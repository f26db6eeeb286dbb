/* SPDX-License-Identifier: ISC */
/*
 * cidr: -- networks and addresses; cidr_table(5). A negated pattern says something about addresses of its own
 * family only. A key that is no address matches nothing.
 */
#include "common/table/cidr.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <strings.h>

#include "common/base/mem.h"
#include "common/table/cidr_index.h"
#include "common/table/rhs_file.h"
#include "common/table/table_types.h"

struct cidr_matcher {
    struct cidr_network network;
    bool negated;
    char *value; /* NULL for IF */
};

/* --- addresses ---------------------------------------------------------------------------- */

static unsigned address_bits(int family)
{
    return family == AF_INET ? 32 : 128;
}

bool cidr_address_parse(struct slice text, struct cidr_address *address)
{
    char copy[INET6_ADDRSTRLEN];
    *address = (struct cidr_address){.family = AF_INET};
    if (text.len >= sizeof copy || text.len == 0)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (strlen(copy) != text.len)
        return false;
    if (strchr(copy, ':') != NULL)
        address->family = AF_INET6;
    return inet_pton(address->family, copy, address->bytes) == 1;
}

/* Clears what lies beyond the prefix; true when something was set there. */
static bool clear_host_bits(struct cidr_network *network)
{
    bool was_set = false;
    for (unsigned bit = network->prefix; bit < address_bits(network->address.family); bit++) {
        unsigned char mask = (unsigned char)(0x80 >> bit % 8);
        if (network->address.bytes[bit / 8] & mask)
            was_set = true;
        network->address.bytes[bit / 8] &= (unsigned char)~mask;
    }
    return was_set;
}

/* "[1.2.3.4]", "[1.2.3.4]/24", "[1.2.3.0/24]": *plain is the text without the brackets, *slash where its "/" is. */
static bool strip_brackets(struct slice text, struct str *plain, size_t *slash, struct str *why)
{
    struct slice inside = text, rest = {NULL, 0};
    if (text.len > 0 && text.data[0] == '[') {
        const char *close = memchr(text.data, ']', text.len);
        if (close == NULL) {
            str_printf(why, "missing ']' character after \"%.*s\"", SLICE_ARGS(text));
            return false;
        }
        inside = slice_range(text.data + 1, (size_t)(close - text.data - 1));
        rest = slice_skip(text, inside.len + 2);
        if (rest.len > 0 && rest.data[0] != '/') {
            str_printf(why, "garbage after \"%.*s\"", (int)(inside.len + 2), text.data);
            return false;
        }
    }
    str_append_slice(plain, inside);
    const char *found = strchr(str_text(plain), '/');
    *slash = rest.len > 0 || found == NULL ? inside.len : (size_t)(found - plain->data);
    str_append_slice(plain, rest);
    return true;
}

static bool all_digits(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!text_is_digit(text.data[i]))
            return false;
    return text.len > 0;
}

static bool parse_prefix(struct slice whole, struct slice address, struct slice mask, struct cidr_network *network,
                         struct str *why)
{
    uint64_t bits;
    if (!all_digits(mask)) {
        str_printf(why, "bad mask value in \"%.*s\"", SLICE_ARGS(whole));
        return false;
    }
    if (!cidr_address_parse(address, &network->address)) {
        str_printf(why, "bad network value in \"%.*s\"", SLICE_ARGS(whole));
        return false;
    }
    if (!slice_to_u64(mask, &bits) || bits > address_bits(network->address.family)) {
        str_printf(why, "bad mask length in \"%.*s\"", SLICE_ARGS(whole));
        return false;
    }
    network->prefix = (unsigned)bits;
    if (clear_host_bits(network)) {
        char numeric[INET6_ADDRSTRLEN];
        if (inet_ntop(network->address.family, network->address.bytes, numeric, sizeof numeric) == NULL)
            numeric[0] = '\0';
        str_printf(why, "non-null host address bits in \"%.*s\", perhaps you should use \"%s/%u\" instead",
                   SLICE_ARGS(whole), numeric, network->prefix);
        return false;
    }
    return true;
}

static bool parse_stripped(struct slice whole, size_t slash, struct cidr_network *network, struct str *why)
{
    if (slash < whole.len)
        return parse_prefix(whole, slice_range(whole.data, slash), slice_skip(whole, slash + 1), network, why);
    if (!cidr_address_parse(whole, &network->address)) {
        str_printf(why, "bad address pattern: \"%.*s\"", SLICE_ARGS(whole));
        return false;
    }
    network->prefix = address_bits(network->address.family);
    return true;
}

bool cidr_network_parse(struct slice text, struct cidr_network *network, struct str *why)
{
    struct str plain = STR_EMPTY;
    size_t slash = 0;
    *network = (struct cidr_network){.prefix = 0};
    bool ok = strip_brackets(text, &plain, &slash, why) && parse_stripped(slice_of(str_text(&plain)), slash, network, why);
    str_free(&plain);
    return ok;
}

/* --- rules ---------------------------------------------------------------------------------- */

static bool complain(struct pattern_rules *rules, unsigned line, const char *why)
{
    pattern_rules_warn(rules, line, "%s: skipping this rule", why);
    return false;
}

/* "! !1.2.3.0/24": *at moves behind the pattern, which ends at a blank (until_end: with the line). */
static bool take_pattern(struct pattern_rules *rules, unsigned line, const char **at, bool until_end,
                         struct cidr_matcher *matcher)
{
    struct str why = STR_EMPTY;
    size_t len = 0;
    for (; **at == '!' || text_is_space(**at); (*at)++)
        if (**at == '!')
            matcher->negated = !matcher->negated;
    while ((*at)[len] != '\0' && (until_end || !text_is_space((*at)[len])))
        len++;
    if (len == 0)
        return complain(rules, line, "no address pattern");
    bool ok = cidr_network_parse(slice_range(*at, len), &matcher->network, &why);
    if (!ok)
        (void)complain(rules, line, str_text(&why));
    str_free(&why);
    *at += len;
    return ok;
}

/* postmap -F: the result names files. */
static char *value_of_files(struct pattern_rules *rules, unsigned line, const char *text)
{
    struct text_source source = {.file = pattern_rules_title(rules), .scratch = arena_new()};
    struct text_entry entry = {.value = slice_of(text), .line = line};
    char *value = rhs_file_encode(&source, &entry) ? mem_strndup(entry.value.data, entry.value.len) : NULL;
    arena_free(source.scratch);
    return value;
}

static bool parse_rule(struct pattern_rules *rules, unsigned line, const char *at, bool is_if,
                       struct cidr_matcher *matcher)
{
    if (!take_pattern(rules, line, &at, is_if, matcher))
        return false;
    if (is_if)
        return true;
    while (text_is_space(*at))
        at++;
    if (*at == '\0')
        return complain(rules, line, "no lookup result");
    matcher->value = pattern_rules_flags(rules) & TABLE_SRC_RHS_IS_FILE ? value_of_files(rules, line, at)
                                                                       : mem_strdup(at);
    return matcher->value != NULL;
}

static void free_matcher(void *data)
{
    struct cidr_matcher *matcher = data;
    free(matcher->value);
    free(matcher);
}

static bool cidr_parse(struct pattern_rules *rules, char *line, unsigned depth, struct pattern_rule *rule)
{
    if (strncasecmp(line, "endif", 5) == 0 && !text_is_alnum(line[5])) {
        rule->operation = PATTERN_ENDIF;
        if (slice_trim(slice_of(line + 5)).len > 0)
            return complain(rules, rule->line, "garbage after ENDIF");
        return depth > 0 || complain(rules, rule->line, "ENDIF without IF");
    }
    bool is_if = strncasecmp(line, "if", 2) == 0 && !text_is_alnum(line[2]);
    struct cidr_matcher *matcher = mem_alloc(sizeof *matcher);
    rule->operation = is_if ? PATTERN_IF : PATTERN_RULE;
    rule->matcher = matcher;
    if (parse_rule(rules, rule->line, is_if ? line + 2 : line, is_if, matcher))
        return true;
    free_matcher(matcher);
    rule->matcher = NULL;
    return false;
}

/* --- looking up --------------------------------------------------------------------------- */

struct cidr_lookup {
    const struct pattern_rule *list;
    struct cidr_index *index;
};

static void *index_rules(const struct pattern_rule *list, size_t count)
{
    struct cidr_lookup *lookup = mem_alloc(sizeof *lookup);
    struct cidr_step *steps = mem_alloc_array(count, sizeof *steps);
    for (size_t i = 0; i < count; i++) {
        const struct cidr_matcher *matcher = list[i].matcher;
        steps[i].operation = list[i].operation;
        if (matcher != NULL) {
            steps[i].network = matcher->network;
            steps[i].negated = matcher->negated;
        }
    }
    *lookup = (struct cidr_lookup){.list = list, .index = cidr_index_new(steps, count)};
    free(steps);
    return lookup;
}

static enum table_status find_indexed(const void *data, const void *address, struct str *value)
{
    const struct cidr_lookup *lookup = data;
    size_t found = cidr_index_find(lookup->index, address);
    if (found == CIDR_NO_STEP)
        return TABLE_NOT_FOUND;
    const struct cidr_matcher *matcher = lookup->list[found].matcher;
    str_append(value, matcher->value);
    return TABLE_FOUND;
}

static void free_lookup(void *data)
{
    struct cidr_lookup *lookup = data;
    cidr_index_free(lookup->index);
    free(lookup);
}

const struct pattern_syntax cidr_syntax = {
    .type = "cidr", .parse = cidr_parse, .free_matcher = free_matcher, .index = index_rules,
    .find_indexed = find_indexed, .free_index = free_lookup,
};

static void *cidr_open(const char *name, const struct config *config UNUSED, unsigned flags, char **error)
{
    return pattern_rules_open(&cidr_syntax, name, flags, error);
}

static enum table_status cidr_find(void *rules, struct slice key, struct str *value, char **error UNUSED,
                                   int64_t deadline UNUSED)
{
    struct cidr_address address;
    if (!cidr_address_parse(key, &address))
        return TABLE_NOT_FOUND;
    return pattern_rules_find(rules, &address, value);
}

const struct table_type table_cidr = {
    .name = "cidr", .pattern = true, .open = cidr_open, .close = pattern_rules_free, .find = cidr_find,
    .is_stale = pattern_rules_is_stale,
};
