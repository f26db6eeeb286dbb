/* SPDX-License-Identifier: ISC */
/*
 * evaluate: a recursive-descent evaluator for main.cf values. Each function consumes what it
 * recognises from a slice and appends the outcome to a string, or fails with a reason. Pure; called
 * by the configuration's getters and by postconf. A failed evaluation leaves partial output behind.
 */
#include "common/config/evaluate.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "common/config/idn.h"

struct evaluation {
    const struct evaluate_source *source;
    struct str *result;
    struct str *why;
    unsigned depth;
    unsigned steps;
};

static bool expand_text(struct evaluation *ev, struct slice text);

static bool fail(struct evaluation *ev, const char *reason, struct slice at)
{
    if (ev->why->len == 0) {
        if (at.len > 60)
            at.len = 60;
        str_printf(ev->why, "%s: \"%.*s\"", reason, SLICE_ARGS(at));
    }
    return false;
}

static struct slice skip_space(struct slice text)
{
    while (text.len > 0 && text_is_space(text.data[0]))
        text = slice_skip(text, 1);
    return text;
}

static bool is_name_char(char c)
{
    return text_is_alnum(c) || c == '_';
}

static size_t name_length(struct slice text)
{
    size_t len = 0;
    while (len < text.len && is_name_char(text.data[len]))
        len++;
    return len;
}

/* Takes "OPEN ... CLOSE" (balanced) off the front of *rest and returns what is inside. */
static bool take_enclosed(struct slice *rest, char open, char close, struct slice *inside)
{
    int level = 0;
    for (size_t i = 0; i < rest->len; i++) {
        if (rest->data[i] == open)
            level++;
        else if (rest->data[i] == close && --level == 0) {
            *inside = slice_range(rest->data + 1, i - 1);
            *rest = slice_skip(*rest, i + 1);
            return true;
        }
    }
    return false;
}

static bool starts_with_brace(struct slice text)
{
    text = skip_space(text);
    return text.len > 0 && text.data[0] == '{';
}

/* Takes "{ ... }" and the white space around it. */
static bool take_braced(struct slice *rest, struct slice *inside)
{
    *rest = skip_space(*rest);
    if (!take_enclosed(rest, '{', '}', inside))
        return false;
    *rest = skip_space(*rest);
    return true;
}

static bool expand_apart(struct evaluation *ev, struct slice text, struct str *result)
{
    struct str *outer = ev->result;
    ev->result = result;
    bool ok = expand_text(ev, text);
    ev->result = outer;
    return ok;
}

static struct slice take_operator(struct slice *rest)
{
    size_t len = 0;
    while (len < rest->len && strchr("<>!=?+-*/~&|%", rest->data[len]) != NULL)
        len++;
    while (len > 0 && len < rest->len && text_is_alnum(rest->data[len]))
        len++;
    struct slice operator_text = slice_range(rest->data, len);
    *rest = slice_skip(*rest, len);
    return operator_text;
}

/* "{left} OP {right}" at the front of *rest. */
static bool evaluate_relation(struct evaluation *ev, struct slice *rest, bool *holds)
{
    struct slice whole = *rest, left, right;
    if (!take_braced(rest, &left))
        return fail(ev, "unbalanced {} in attribute expression", whole);
    struct slice operator_text = take_operator(rest);
    if (operator_text.len == 0)
        return fail(ev, "a comparison operator is expected", whole);
    if (!starts_with_brace(*rest))
        return fail(ev, "\"{expression}\" expected", whole);
    if (!take_braced(rest, &right))
        return fail(ev, "unbalanced {} in attribute expression", whole);
    struct str left_value = STR_EMPTY, right_value = STR_EMPTY;
    bool ok = expand_apart(ev, left, &left_value) && expand_apart(ev, right, &right_value);
    if (ok && !evaluate_compare(str_text(&left_value), operator_text, str_text(&right_value), holds))
        ok = fail(ev, "bad comparison", whole);
    str_free(&left_value);
    str_free(&right_value);
    return ok;
}

/* One side of "?a:b": "{text}" when it is braced, otherwise everything that is left. */
static bool take_branch(struct evaluation *ev, struct slice *rest, struct slice *branch)
{
    if (!starts_with_brace(*rest)) {
        *branch = *rest;
        *rest = slice_skip(*rest, rest->len);
        return true;
    }
    if (!take_braced(rest, branch))
        return fail(ev, "unbalanced {} in attribute expression", *rest);
    return true;
}

/* "?text", ":text" or "?{a}:{b}": appends the branch that the condition selects. */
static bool expand_conditional(struct evaluation *ev, struct slice rest, bool condition)
{
    struct slice branch;
    if (rest.data[0] == '?') {
        rest = slice_skip(rest, 1);
        if (!take_branch(ev, &rest, &branch) || (condition && !expand_text(ev, branch)))
            return false;
        if (rest.len == 0)
            return true;
        if (rest.data[0] != ':')
            return fail(ev, "\":\" expected", rest);
    }
    rest = slice_skip(rest, 1);
    if (!take_branch(ev, &rest, &branch) || (!condition && !expand_text(ev, branch)))
        return false;
    return rest.len == 0 || fail(ev, "unexpected input after an attribute expression", rest);
}

static const char *look_up(struct evaluation *ev, struct slice name)
{
    char *text = mem_strndup(name.data, name.len);
    const char *value = ev->source->lookup(ev->source->context, text);
    free(text);
    return value;
}

static const struct function {
    const char *name;
    bool (*convert)(const char *text, struct str *result, struct str *why);
} functions[] = {
    {"domain_to_ascii", idn_to_ascii},
    {"domain_to_utf8", idn_to_utf8},
};

static const struct function *find_function(struct slice name)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (slice_equal(name, slice_of(functions[i].name)))
            return &functions[i];
    return NULL;
}

/* "name{text}" */
static bool expand_function(struct evaluation *ev, struct slice name, struct slice rest)
{
    struct slice argument;
    struct str text = STR_EMPTY;
    const struct function *function = find_function(name);
    if (function == NULL)
        return fail(ev, "unknown function", name);
    if (!take_braced(&rest, &argument) || rest.len > 0)
        return fail(ev, "unexpected input after a function call", name);
    bool ok = expand_apart(ev, slice_trim(argument), &text) &&
              function->convert(str_text(&text), ev->result, ev->why);
    str_free(&text);
    return ok;
}

static bool expand_relational(struct evaluation *ev, struct slice rest)
{
    bool holds = false;
    if (!evaluate_relation(ev, &rest, &holds))
        return false;
    if (rest.len == 0) {
        str_append(ev->result, holds ? "true" : "");
        return true;
    }
    if (rest.data[0] != '?' && rest.data[0] != ':')
        return fail(ev, "\"?\" or \":\" expected", rest);
    return expand_conditional(ev, rest, holds);
}

/* What stood between ${ and }. */
static bool expand_expression(struct evaluation *ev, struct slice expression)
{
    struct slice rest = skip_space(expression);
    if (starts_with_brace(rest))
        return expand_relational(ev, rest);
    struct slice name = slice_range(rest.data, name_length(rest));
    rest = slice_skip(rest, name.len);
    if (rest.len > 0 && starts_with_brace(rest))
        return expand_function(ev, name, rest);
    rest = skip_space(rest);
    if (rest.len > 0 && rest.data[0] != '?' && rest.data[0] != ':')
        return fail(ev, "attribute name syntax error", expression);
    const char *value = look_up(ev, name);
    if (rest.len > 0)
        return expand_conditional(ev, rest, value != NULL && value[0] != '\0');
    if (value == NULL && ev->source->undefined != NULL)
        ++*ev->source->undefined;
    return value == NULL || expand_text(ev, slice_of(value));
}

/* A '$' reference at the front of *rest. */
static bool expand_reference(struct evaluation *ev, struct slice *rest)
{
    struct slice whole = *rest, expression;
    *rest = slice_skip(*rest, 1);
    char next = rest->len > 0 ? rest->data[0] : '\0';
    if (next == '{' || next == '(') {
        if (!take_enclosed(rest, next, next == '{' ? '}' : ')', &expression))
            return fail(ev, "truncated macro reference", whole);
    } else {
        expression = slice_range(rest->data, name_length(*rest));
        *rest = slice_skip(*rest, expression.len);
    }
    if (expression.len == 0)
        return fail(ev, "empty macro name", whole);
    return expand_expression(ev, expression);
}

static bool expand_pieces(struct evaluation *ev, struct slice text)
{
    while (text.len > 0) {
        const char *dollar = memchr(text.data, '$', text.len);
        size_t literal = dollar != NULL ? (size_t)(dollar - text.data) : text.len;
        str_append_bytes(ev->result, text.data, literal);
        text = slice_skip(text, literal);
        if (ev->result->len > EVALUATE_MAX_LENGTH)
            return fail(ev, "the evaluated value is too long", text);
        if (text.len >= 2 && text.data[1] == '$') {
            str_append_char(ev->result, '$');
            text = slice_skip(text, 2);
        } else if (text.len > 0 && !expand_reference(ev, &text)) {
            return false;
        }
    }
    return true;
}

static bool expand_text(struct evaluation *ev, struct slice text)
{
    if (ev->depth >= EVALUATE_MAX_DEPTH || ev->steps >= EVALUATE_MAX_STEPS)
        return fail(ev, "unreasonable macro call nesting", text);
    ev->steps++;
    ev->depth++;
    bool ok = expand_pieces(ev, text);
    ev->depth--;
    return ok;
}

bool evaluate_text(const struct evaluate_source *source, struct slice text, struct str *result,
                   struct str *why)
{
    struct evaluation ev = {.source = source, .result = result, .why = why};
    return expand_text(&ev, text);
}
