/* SPDX-License-Identifier: ISC */
/*
 * spf_header: writes what the check found for filters and people behind us. Names and addresses are the client's:
 * whatever is no plain word is quoted, and nothing that ends a line or a quoted string gets through.
 */
#include "common/dns/spf_header.h"

#include <string.h>

/* dot-atom of RFC 5322 3.2.3, with the characters that RFC 2045 keeps out of tokens left out. */
static bool is_plain(const char *text)
{
    for (const char *at = text; *at != '\0'; at++)
        if (!text_is_alnum(*at) && strchr("!#$%&'*+-^_`{|}~.", *at) == NULL)
            return false;
    return *text != '\0';
}

static void put_value(const char *text, struct str *out)
{
    if (is_plain(text)) {
        str_append(out, text);
        return;
    }
    str_append_char(out, '"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            str_append_char(out, '\\');
        str_append_char(out, (unsigned char)*text < ' ' || *text == 127 ? '?' : *text);
    }
    str_append_char(out, '"');
}

static void put_pair(const char *key, const char *value, struct str *out)
{
    str_printf(out, "\n\t%s=", key);
    put_value(value, out);
    str_append_char(out, ';');
}

/* What the comment says, without parentheses in it. */
static void put_comment(const struct spf_verdict *verdict, const struct spf_question *question, struct str *out)
{
    static const char *const says[SPF_RESULTS] = {
        [SPF_NONE] = "publishes no policy about", [SPF_NEUTRAL] = "neither permits nor denies", [SPF_PASS] = "permits",
        [SPF_FAIL] = "does not permit", [SPF_SOFTFAIL] = "probably does not permit",
        [SPF_TEMPERROR] = "could not be asked about", [SPF_PERMERROR] = "has a faulty policy about"};
    str_append(out, " (");
    for (const char *at = verdict->domain; *at != '\0'; at++)
        str_append_char(out, (unsigned char)*at <= ' ' || strchr("()\\", *at) != NULL || *at == 127 ? '?' : *at);
    str_printf(out, " %s %s)", says[verdict->result], question->address);
}

static void put_received_spf(const struct spf_question *question, const struct spf_verdict *verdict, const char *identity,
                             struct str *out)
{
    str_printf(out, "Received-SPF: %s", spf_result_name(verdict->result));
    put_comment(verdict, question, out);
    put_pair("receiver", question->receiver, out);
    put_pair("identity", identity, out);
    put_pair("client-ip", question->address, out);
    put_pair("helo", question->helo, out);
    put_pair("envelope-from", question->sender, out);
    if (*verdict->problem != '\0')
        put_pair("problem", verdict->problem, out);
    out->len--; /* the last ";" */
    out->data[out->len] = '\0';
    str_append_char(out, '\n');
}

/* "smtp.mailfrom=carl@example.org"; a local part that needs quotes is left out (RFC 8601 2.2 has no form for it). */
static void put_result(const struct spf_verdict *verdict, const char *property, const char *value, struct str *out)
{
    const char *at = strrchr(value, '@');
    str_printf(out, ";\n\tspf=%s", spf_result_name(verdict->result));
    if (*verdict->problem != '\0') {
        str_append(out, " reason=");
        put_value(verdict->problem, out);
    }
    str_printf(out, " %s=", property);
    if (at != NULL && is_plain(at + 1)) {
        size_t len = (size_t)(at - value);
        struct str local = STR_EMPTY;
        str_append_bytes(&local, value, len);
        if (is_plain(str_text(&local)))
            str_printf(out, "%s@", str_text(&local));
        str_free(&local);
        str_append(out, at + 1);
    } else
        put_value(value, out);
}

void spf_header_append(const struct spf_question *question, const struct spf_answer *answer, const char *authserv_id,
                       struct str *out)
{
    bool has_helo = answer->helo.result != SPF_UNCHECKED;
    bool has_mail_from = answer->mail_from.result != SPF_UNCHECKED && *question->sender != '\0';
    if (!has_helo && !has_mail_from)
        return;
    if (has_mail_from)
        put_received_spf(question, &answer->mail_from, "mailfrom", out);
    else
        put_received_spf(question, &answer->helo, "helo", out);
    str_append(out, "Authentication-Results: ");
    put_value(authserv_id, out);
    if (has_mail_from)
        put_result(&answer->mail_from, "smtp.mailfrom", question->sender, out);
    if (has_helo)
        put_result(&answer->helo, "smtp.helo", question->helo, out);
    str_append_char(out, '\n');
}
