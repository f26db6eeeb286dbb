/* SPDX-License-Identifier: ISC */
/* restrict_name: is a HELO name or an address's domain a proper, full name? Pure syntax, no DNS. */
#include "common/base/log.h"
#include "common/mail/address_parse.h"
#include "common/mail/hostname.h"
#include "common/access/restrict.h"

static struct slice without_last_dot(struct slice name)
{
    if (name.len > 1 && name.data[name.len - 1] == '.')
        name.len--;
    return name;
}

static bool is_fqdn(struct slice name)
{
    name = without_last_dot(name);
    return hostname_is_valid(name) && memchr(name.data, '.', name.len) != NULL;
}

enum verdict restrict_invalid_helo(struct evaluation *evaluation, const char *name UNUSED)
{
    const char *helo = evaluation->session->helo_name;
    if (helo == NULL)
        return VERDICT_DUNNO;
    struct slice text = slice_of(helo);
    if (text.len > 0 && text.data[0] == '[') {
        if (hostname_is_literal(text))
            return VERDICT_DUNNO;
        return restrict_reject(evaluation, smtpd.invalid_name_code, "5.5.2", "<%s>: %s rejected: invalid ip address", helo,
                               restrict_class(STAGE_HELO));
    }
    if ((text_is_ascii(text) && hostname_is_valid(without_last_dot(text))) || hostname_is_address(text)) /* RFC 6531: not here */
        return VERDICT_DUNNO;
    return restrict_reject(evaluation, smtpd.invalid_name_code, "5.5.2", "<%s>: %s rejected: Invalid name", helo,
                           restrict_class(STAGE_HELO));
}

enum verdict restrict_naked_address(struct evaluation *evaluation, const char *name)
{
    const char *helo = evaluation->session->helo_name;
    log_warning("restriction %s is deprecated. Use %s or %s instead", name, "permit_mynetworks", "permit_sasl_authenticated");
    if (helo == NULL || helo[strspn(helo, "0123456789.:")] != '\0')
        return VERDICT_DUNNO;
    if (hostname_is_address(slice_of(helo)))
        return VERDICT_PERMIT;
    return restrict_reject(evaluation, smtpd.invalid_name_code, "5.5.2", "<%s>: %s rejected: invalid ip address", helo,
                           restrict_class(STAGE_HELO));
}

enum verdict restrict_non_fqdn_helo(struct evaluation *evaluation, const char *name)
{
    const char *helo = evaluation->session->helo_name;
    if (helo != NULL && helo[0] == '[')
        return restrict_invalid_helo(evaluation, name);
    if (helo == NULL || is_fqdn(slice_of(helo)))
        return VERDICT_DUNNO;
    return restrict_reject(evaluation, smtpd.non_fqdn_code, "5.5.2", "<%s>: %s rejected: need fully-qualified hostname",
                           helo, restrict_class(STAGE_HELO));
}

static enum verdict need_full_address(struct evaluation *evaluation, const char *address, enum restrict_stage stage)
{
    struct slice domain = address_domain(slice_of(address));
    if (*address == '\0' || (domain.len > 0 && domain.data[0] == '[') || is_fqdn(domain))
        return VERDICT_DUNNO;
    return restrict_reject(evaluation, smtpd.non_fqdn_code, "5.5.2", "<%s>: %s rejected: need fully-qualified address",
                           address, restrict_class(stage));
}

enum verdict restrict_non_fqdn_sender(struct evaluation *evaluation, const char *name UNUSED)
{
    return evaluation->sender != NULL ? need_full_address(evaluation, evaluation->sender, STAGE_SENDER) : VERDICT_DUNNO;
}

enum verdict restrict_non_fqdn_recipient(struct evaluation *evaluation, const char *name UNUSED)
{
    return evaluation->recipient != NULL ? need_full_address(evaluation, evaluation->recipient, STAGE_RECIPIENT) : VERDICT_DUNNO;
}
