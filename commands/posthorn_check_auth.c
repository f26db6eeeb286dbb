/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_auth: on which ports passwords may travel in the clear, and TLS settings that do not say what their
 * author meant. Judges each smtpd service by its own view; ports that only this host reaches are left alone.
 */
#include "commands/posthorn_check.h"

static const struct check_advice auth_without_tls = {
    "auth-without-tls", CHECK_ERROR, "Clients send their passwords in the clear, and whoever listens on the way can use them.",
    "Set smtpd_tls_security_level = encrypt for this service (or may, with smtpd_tls_auth_only = yes), with a certificate."};
static const struct check_advice auth_before_tls = {
    "auth-before-tls", CHECK_ERROR,
    "AUTH is offered before STARTTLS, so a client that skips STARTTLS, or is made to, sends its password in the clear.",
    "Set smtpd_tls_auth_only = yes, or smtpd_tls_security_level = encrypt for this service."};
static const struct check_advice enforce_ignored = {
    "enforce-tls-without-effect", CHECK_ERROR,
    "smtpd_enforce_tls is an old name and counts only while smtpd_tls_security_level is empty: this port takes mail, and "
    "passwords, without TLS.",
    "Remove it and set smtpd_tls_security_level = encrypt for this service."};
static const struct check_advice use_ignored = {
    "use-tls-without-effect", CHECK_NOTE,
    "smtpd_use_tls is an old name and counts only while smtpd_tls_security_level is empty.", "Remove it."};
static const struct check_advice no_certificate = {
    "tls-without-certificate", CHECK_ERROR, "A TLS server without a certificate cannot complete a handshake with ordinary "
    "clients.", "Set smtpd_tls_chain_files, or smtpd_tls_cert_file and smtpd_tls_key_file."};
static const struct check_advice wrapper_missing = {
    "wrappermode-missing", CHECK_ERROR,
    "On this port clients begin with a TLS handshake; the server greets in the clear instead, and both wait for each other.",
    "Add -o smtpd_tls_wrappermode=yes to this service."};
static const struct check_advice wrapper_misplaced = {
    "wrappermode-misplaced", CHECK_ERROR,
    "On this port clients wait for a greeting and then say STARTTLS; in wrapper mode the server waits for TLS bytes first, "
    "and both wait for each other.",
    "Remove smtpd_tls_wrappermode from this service."};
static const struct check_advice public_requires_tls = {
    "port-25-requires-tls", CHECK_WARNING,
    "Servers that speak no TLS cannot deliver here; RFC 3207 (section 4) says that a public server must not require it.",
    "Use smtpd_tls_security_level = may on port 25."};
static const struct check_advice auth_on_port_25 = {
    "auth-on-port-25", CHECK_NOTE,
    "Port 25 is for other servers. Password guessers try it all day, and no client of yours needs it.",
    "Set smtpd_sasl_auth_enable = no in main.cf and add -o smtpd_sasl_auth_enable=yes to the submission services."};

static bool has_port(const struct check_view *view, const char *name, const char *number)
{
    const char *service = view->service->name, *colon = strrchr(service, ':');
    const char *port = colon != NULL ? colon + 1 : service;
    return strcmp(port, name) == 0 || strcmp(port, number) == 0;
}

static bool is_smtps(const struct check_view *view)
{
    return has_port(view, "smtps", "465") || has_port(view, "submissions", "465");
}

/* The level that counts: the old names do only while the new one is empty. */
static const char *tls_level(const struct check_view *view)
{
    const char *level = check_value(view, "smtpd_tls_security_level");
    if (check_is_yes(view, "smtpd_tls_wrappermode"))
        return "encrypt";
    if (*level != '\0')
        return level;
    if (check_is_yes(view, "smtpd_enforce_tls"))
        return "encrypt";
    return check_is_yes(view, "smtpd_use_tls") ? "may" : "none";
}

/* Where the setting is written; where AUTH is switched on when it is not. */
static struct config_origin locate_or(struct check *check, const struct check_view *view, const char *name,
                                      const char *otherwise)
{
    struct config_origin where = check_locate(check, view, name, NULL, 0);
    return where.file != NULL ? where : check_locate(check, view, otherwise, NULL, 0);
}

static bool hides_plaintext(const struct check_view *view)
{
    struct slice rest = slice_of(check_value(view, "smtpd_sasl_security_options")), option;
    while (slice_next_token(&rest, ", \t\r\n", &option))
        if (slice_equal_nocase(option, SLICE("noplaintext")))
            return true;
    return false;
}

static void check_auth(struct check *check, const struct check_view *view, const char *level)
{
    const char *service = check_view_name(check, view);
    struct config_origin where = check_locate(check, view, "smtpd_sasl_auth_enable", NULL, 0);
    bool none = strcmp(level, "none") == 0;
    if (!check_is_yes(view, "smtpd_sasl_auth_enable"))
        return;
    if (none && !check_is_yes(view, "smtpd_tls_auth_only") && !hides_plaintext(view))
        check_report(check, &auth_without_tls, where, "%s offers AUTH and has no TLS", service);
    else if (!none && strcmp(level, "encrypt") != 0 && !check_is_yes(view, "smtpd_tls_auth_only") && !hides_plaintext(view))
        check_report(check, &auth_before_tls, where, "%s offers AUTH without TLS (smtpd_tls_security_level = %s)", service,
                     level);
    if (has_port(view, "smtp", "25") && view->service->type == SERVICE_INET)
        check_report(check, &auth_on_port_25, where, "%s offers AUTH", service);
}

static void check_old_names(struct check *check, const struct check_view *view)
{
    const char *level = check_value(view, "smtpd_tls_security_level");
    if (*level == '\0')
        return;
    if (check_is_yes(view, "smtpd_enforce_tls") && strcmp(level, "encrypt") != 0)
        check_report(check, &enforce_ignored, check_locate(check, view, "smtpd_enforce_tls", NULL, 0),
                     "%s: smtpd_enforce_tls = yes has no effect beside smtpd_tls_security_level = %s",
                     check_view_name(check, view), level);
    if (check_is_yes(view, "smtpd_use_tls") && config_is_set(view->config, "smtpd_use_tls"))
        check_report(check, &use_ignored, check_locate(check, view, "smtpd_use_tls", NULL, 0),
                     "smtpd_use_tls has no effect beside smtpd_tls_security_level = %s", level);
}

static bool has_certificate(const struct check_view *view)
{
    static const char *const names[] = {"smtpd_tls_chain_files", "smtpd_tls_cert_file", "smtpd_tls_eccert_file",
                                        "smtpd_tls_dcert_file", "tls_server_sni_maps"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (*check_value(view, names[i]) != '\0') /* "none", too, is said on purpose */
            return true;
    return false;
}

static void check_port(struct check *check, const struct check_view *view, const char *level)
{
    const char *service = check_view_name(check, view);
    bool wraps = check_is_yes(view, "smtpd_tls_wrappermode");
    if (strcmp(level, "none") != 0 && !has_certificate(view))
        check_report(check, &no_certificate, locate_or(check, view, "smtpd_tls_security_level", "smtpd_tls_wrappermode"),
                     "%s offers TLS without a certificate", service);
    if (is_smtps(view) && !wraps)
        check_report(check, &wrapper_missing, view->service->where, "%s without smtpd_tls_wrappermode", service);
    if (wraps && (has_port(view, "smtp", "25") || has_port(view, "submission", "587")))
        check_report(check, &wrapper_misplaced, check_locate(check, view, "smtpd_tls_wrappermode", NULL, 0),
                     "%s with smtpd_tls_wrappermode", service);
    if (has_port(view, "smtp", "25") && !wraps && strcmp(level, "encrypt") == 0)
        check_report(check, &public_requires_tls, locate_or(check, view, "smtpd_tls_security_level", "smtpd_enforce_tls"),
                     "%s requires TLS", service);
}

void check_authentication(struct check *check)
{
    for (size_t i = 0; i < check->view_count; i++) {
        const struct check_view *view = &check->views[i];
        if (!check_is_smtpd(view) || check_is_loopback_service(view))
            continue;
        const char *level = tls_level(view);
        check_auth(check, view, level);
        check_old_names(check, view);
        check_port(check, view, level);
    }
}
