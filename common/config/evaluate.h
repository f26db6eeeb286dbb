/* SPDX-License-Identifier: ISC */
/*
 * Evaluates $name and its relatives (postconf(5), "main.cf file format"):
 *   $name ${name} $(name) ${name?text} ${name:text} ${name?{a}:{b}} ${{x} == {y} ? {a} : {b}} $$
 * Pure: values come from a callback. Depth, number of steps and length are bounded, so a value that
 * refers to itself or doubles at every step is an error, not a hang.
 */
#ifndef POSTHORN_CONFIG_EVALUATE_H
#define POSTHORN_CONFIG_EVALUATE_H

#include <stdbool.h>

#include "common/base/str.h"

#define EVALUATE_MAX_DEPTH 100
#define EVALUATE_MAX_STEPS 20000
#define EVALUATE_MAX_LENGTH ((size_t)4 * 1024 * 1024)

struct evaluate_source {
    /* The unevaluated value of a name, or NULL when there is none. */
    const char *(*lookup)(void *context, const char *name);
    void *context;
    size_t *undefined; /* counts plain references to names without a value; NULL: nobody asks */
};

/* Appends the evaluated text to *result. On failure *why holds one sentence without a newline. */
bool evaluate_text(const struct evaluate_source *source, struct slice text, struct str *result,
                   struct str *why) MUST_CHECK;

/* Calls visit for every name that the text refers to, in all branches; nested text included. */
void evaluate_visit_names(struct slice text, void (*visit)(void *context, struct slice name),
                          void *context);

/* Compares two values as ${{left} OP {right}} does. False when OP is not an operator. */
bool evaluate_compare(const char *left, struct slice operator_text, const char *right, bool *holds);

#endif
