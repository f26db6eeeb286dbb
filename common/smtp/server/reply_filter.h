/* SPDX-License-Identifier: ISC */
/* What main.cf adds to a refusal: smtpd_reject_filter_maps, smtpd_reject_footer (and _maps), soft_bounce. */
#ifndef POSTHORN_SMTP_SERVER_REPLY_FILTER_H
#define POSTHORN_SMTP_SERVER_REPLY_FILTER_H

#include "common/config/evaluate.h"
#include "common/smtp/server/session.h"

/* Changes a 4xx or 5xx reply, without its last CRLF; several lines are parted by CRLF. May ask tables. */
void reply_filter(struct smtp_session *session, struct str *reply);

/* Appends the lines of a footer (postconf(5), smtpd_reject_footer) to a reply of one line or more; the reply stays as it was
 * when it is no SMTP reply or the template cannot be evaluated: then false. Pure but for the lookup. */
bool reply_append_footer(struct str *reply, const char *template, const struct evaluate_source *source) MUST_CHECK;

/* What $name stands for in a footer or a reply template (postconf(5), smtpd_reject_footer, default_rbl_reply), made harmless:
 * no template, and no bytes outside smtpd_expansion_filter. NULL: no such name, which has been logged. Scratch memory.
 * recipient: of the present command, NULL for none. */
const char *reply_macro_value(struct smtp_session *session, const char *name, const char *recipient);
/* The same for a text that did not come from the session. */
const char *reply_macro_escape(struct smtp_session *session, const char *value);

/* smtpd_expansion_filter: which bytes of a value may appear in a reply. The text is written as in C. */
void expansion_filter_read(const char *text, bool allowed[256]);

#endif
