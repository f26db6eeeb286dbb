/* SPDX-License-Identifier: ISC */
/*
 * The texts at the beginning of delivery status notifications, and the file (bounce_template_file, bounce(5)) that
 * replaces them. Shown by postconf -t and -b. Pure, apart from warnings about templates that are left out.
 */
#ifndef POSTHORN_MAIL_BOUNCE_TEMPLATE_H
#define POSTHORN_MAIL_BOUNCE_TEMPLATE_H

#include "common/config/config.h"

enum bounce_template_kind { TEMPLATE_FAILURE, TEMPLATE_DELAY, TEMPLATE_SUCCESS, TEMPLATE_VERIFY, TEMPLATE_COUNT };

struct bounce_template {
    const char *charset, *from, *subject;
    const char *postmaster_subject; /* NULL: nothing of this kind goes to the postmaster */
    const char *text;               /* lines that end in LF; $name is not evaluated yet */
};

/* "failure", "delay", ... */
extern const char *const bounce_template_names[TEMPLATE_COUNT];

void bounce_templates_built_in(struct bounce_template templates[TEMPLATE_COUNT]);

/*
 * Replaces those that the text has. A template with a mistake is left out, with a warning that names FILE. False, with
 * the reason, when the text is no such file. Texts live in the arena.
 */
bool bounce_templates_parse(const char *file, struct slice text, struct arena *arena,
                            struct bounce_template templates[TEMPLATE_COUNT], struct str *why) MUST_CHECK;

/* Appends a template's text with its $names replaced. False, with the reason, when that cannot be done. */
bool bounce_template_expand(const struct bounce_template *template, enum bounce_template_kind kind, const char *file,
                            const struct config *config, struct str *out, struct str *why) MUST_CHECK;

#endif
