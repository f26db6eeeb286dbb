/* SPDX-License-Identifier: ISC */
/*
 * pcre: -- Perl-compatible regular expressions, with PCRE2; pcre_table(5). No just-in-time compiler: a confined process
 * has no memory that is both writable and executable. The work for one subject is bounded; a subject that
 * needs more makes the lookup fail. Built with PCRE2 only (./configure --with-pcre).
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "common/base/mem.h"
#include "common/table/regex_rules.h"
#include "common/table/table_types.h"

#define MATCH_LIMIT 1000000    /* backtracking steps: some hundredths of a second */
#define HEAP_LIMIT_KIB 16384

/* Lookups run one after the other in one thread, so all share what a match needs. */
static pcre2_match_context *match_context;
static pcre2_match_data *match_data;

static void require(const void *memory)
{
    if (memory == NULL)
        mem_exhausted(0);
}

static void prepare_for(uint32_t groups)
{
    if (match_context == NULL) {
        match_context = pcre2_match_context_create(NULL);
        require(match_context);
        pcre2_set_match_limit(match_context, MATCH_LIMIT);
        pcre2_set_heap_limit(match_context, HEAP_LIMIT_KIB);
    }
    if (match_data != NULL && pcre2_get_ovector_count(match_data) > groups)
        return;
    pcre2_match_data_free(match_data);
    match_data = pcre2_match_data_create(groups < 15 ? 16 : groups + 1, NULL);
    require(match_data);
}

static enum regex_flag pcre_toggle(char letter, unsigned *options)
{
    switch (letter) {
    case 'i': *options ^= PCRE2_CASELESS; break;
    case 'm': *options ^= PCRE2_MULTILINE; break;
    case 's': *options ^= PCRE2_DOTALL; break;
    case 'x': *options ^= PCRE2_EXTENDED; break;
    case 'A': *options ^= PCRE2_ANCHORED; break;
    case 'E': *options ^= PCRE2_DOLLAR_ENDONLY; break;
    case 'U': *options ^= PCRE2_UNGREEDY; break;
    case 'X': return REGEX_FLAG_OBSOLETE; /* what it asked for is always so in PCRE2 */
    default: return REGEX_FLAG_UNKNOWN;
    }
    return REGEX_FLAG_TAKEN;
}

static void append_message(int code, struct str *why)
{
    PCRE2_UCHAR text[256];
    if (pcre2_get_error_message(code, text, sizeof text) < 0)
        str_printf(why, "PCRE2 error %d", code);
    else
        str_append(why, (const char *)text);
}

static void *pcre_compile(const char *pattern, unsigned options, unsigned *groups, struct str *why)
{
    int code;
    PCRE2_SIZE offset;
    uint32_t count = 0;
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &code, &offset, NULL);
    if (compiled == NULL) {
        str_printf(why, "error in regex at offset %lu: ", (unsigned long)offset);
        append_message(code, why);
        return NULL;
    }
    if (pcre2_pattern_info(compiled, PCRE2_INFO_CAPTURECOUNT, &count) != 0) {
        str_append(why, "pcre2_pattern_info failed");
        pcre2_code_free(compiled);
        return NULL;
    }
    prepare_for(count);
    *groups = count;
    return compiled;
}

static void find_literal(const char *pattern, unsigned options, struct pattern_literal *literal)
{
    if ((options & PCRE2_EXTENDED) == 0)
        pattern_literal_find(pattern, (struct pattern_dialect){true, (options & PCRE2_MULTILINE) != 0}, literal);
}

static enum pattern_match pcre_match(const void *compiled, struct slice subject, struct regex_span *spans,
                                     unsigned count, struct str *why)
{
    int code = pcre2_match(compiled, (PCRE2_SPTR)subject.data, subject.len, 0, 0, match_data, match_context);
    if (code == PCRE2_ERROR_NOMATCH)
        return PATTERN_DIFFERS;
    if (code < 0) {
        append_message(code, why);
        return PATTERN_FAILS;
    }
    const PCRE2_SIZE *positions = pcre2_get_ovector_pointer(match_data);
    for (unsigned i = 0; i < count; i++) {
        PCRE2_SIZE start = positions[2 * i], end = positions[2 * i + 1];
        bool is_set = start != PCRE2_UNSET && end != PCRE2_UNSET && start <= end && end <= subject.len;
        spans[i] = is_set ? (struct regex_span){start, end} : (struct regex_span){0, 0};
    }
    return PATTERN_MATCHES;
}

static void pcre_free(void *compiled)
{
    pcre2_code_free(compiled);
}

static const struct regex_engine engine = {
    .default_options = PCRE2_CASELESS | PCRE2_DOTALL, .unclosed = "ignoring", .bad_index = "out of range",
    .toggle = pcre_toggle, .compile = pcre_compile, .find_literal = find_literal, .match = pcre_match, .free = pcre_free,
};

static bool pcre_parse(struct pattern_rules *rules, char *line, unsigned depth, struct pattern_rule *rule)
{
    return regex_rules_parse(rules, &engine, line, depth, rule);
}

const struct pattern_syntax pcre_syntax = {
    .type = "pcre", .parse = pcre_parse, .match = regex_rules_match, .free_matcher = regex_rules_free_matcher,
};

static void *pcre_open(const char *name, const struct config *config UNUSED, unsigned flags, char **error)
{
    return pattern_rules_open(&pcre_syntax, name, flags, error);
}

const struct table_type table_pcre = {
    .name = "pcre", .pattern = true, .open = pcre_open, .close = pattern_rules_free, .find = regex_rules_find,
    .is_stale = pattern_rules_is_stale,
};
