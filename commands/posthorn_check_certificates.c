/* SPDX-License-Identifier: ISC */
/*
 * posthorn_check_certificates: every certificate and key that main.cf or a service names: there, readable, valid today
 * and for a fortnight, belonging together, and for this host's name. Parses the admin's own files with OpenSSL; a key
 * is wiped from memory by OpenSSL when it is freed.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>
#include <unistd.h>

#include "commands/posthorn_check.h"

#define SOON_DAYS 14

#define NO_TLS_WHY "No TLS session can be made with it, and clients that insist on TLS cannot send."

static const struct check_advice unreadable = {"certificate-unreadable", CHECK_ERROR, NO_TLS_WHY,
                                               "Correct the file's name, its owner and mode, or its content (PEM)."};
static const struct check_advice expired = {"certificate-expired", CHECK_ERROR,
                                            "Clients that check certificates, which are all mail programs, refuse to go on.",
                                            "Renew it. The server notices the new file by itself."};
static const struct check_advice expires_soon = {
    "certificate-expires-soon", CHECK_WARNING, "Mail programs will refuse to go on from that day; automatic renewal "
    "should have happened by now.", "Renew it, and find out why nothing did so."};
static const struct check_advice not_yet = {"certificate-not-yet-valid", CHECK_ERROR,
                                            "Clients that check certificates refuse it until that day.",
                                            "Correct this host's clock, or use another certificate."};
static const struct check_advice wrong_key = {"certificate-key-mismatch", CHECK_ERROR, NO_TLS_WHY,
                                              "Name the key that the certificate was issued for; look for two files of "
                                              "different renewals."};
static const struct check_advice wrong_name = {
    "certificate-name-mismatch", CHECK_WARNING,
    "Mail programs compare the name they connect to with the certificate's and warn their users or refuse.",
    "Get a certificate for this host's name (myhostname), or set myhostname to a name that the certificate has."};
static const struct check_advice missing_ca = {
    "ca-file-unreadable", CHECK_WARNING, "No peer's certificate can be verified without it, so destinations that require "
    "verification get no mail.", "Correct the name, or install the package ca-certificates."};

struct file {
    struct check *check;
    const struct check_view *view;
    const char *parameter, *path;
    struct config_origin where;
};

static int no_passphrase(char *buffer UNUSED, int size UNUSED, int for_writing UNUSED, void *context UNUSED)
{
    return 0; /* a server has nobody to ask */
}

static const char *openssl_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = ERR_reason_error_string(code);
    return text != NULL ? text : "no PEM data";
}

static FILE *open_file(const struct file *file)
{
    FILE *in = fopen(file->path, "re");
    if (in == NULL)
        check_report(file->check, &unreadable, file->where, "%s: cannot read %s: %s", file->parameter, file->path,
                     strerror(errno));
    return in;
}

static X509 *read_certificate(const struct file *file)
{
    FILE *in = open_file(file);
    if (in == NULL)
        return NULL;
    ERR_clear_error();
    X509 *certificate = PEM_read_X509(in, NULL, no_passphrase, NULL);
    if (certificate == NULL)
        check_report(file->check, &unreadable, file->where, "%s: %s holds no certificate: %s", file->parameter, file->path,
                     openssl_reason());
    fclose(in);
    return certificate;
}

static EVP_PKEY *read_key(const struct file *file)
{
    FILE *in = open_file(file);
    if (in == NULL)
        return NULL;
    ERR_clear_error();
    EVP_PKEY *key = PEM_read_PrivateKey(in, NULL, no_passphrase, NULL);
    if (key == NULL)
        check_report(file->check, &unreadable, file->where, "%s: %s holds no key that can be used without a passphrase: %s",
                     file->parameter, file->path, openssl_reason());
    fclose(in);
    return key;
}

static const char *day_text(struct arena *arena, const ASN1_TIME *when)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(when, &parts) != 1)
        return "an unknown day";
    return arena_printf(arena, "%04d-%02d-%02d", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
}

static void check_dates(const struct file *file, const X509 *certificate)
{
    const ASN1_TIME *until = X509_get0_notAfter(certificate), *from = X509_get0_notBefore(certificate);
    time_t now = time(NULL), soon = now + (time_t)SOON_DAYS * 86400;
    struct arena *arena = file->check->arena;
    if (X509_cmp_time(until, &now) < 0)
        check_report(file->check, &expired, file->where, "%s: %s expired on %s", file->parameter, file->path,
                     day_text(arena, until));
    else if (X509_cmp_time(until, &soon) < 0)
        check_report(file->check, &expires_soon, file->where, "%s: %s expires on %s", file->parameter, file->path,
                     day_text(arena, until));
    if (X509_cmp_time(from, &now) > 0)
        check_report(file->check, &not_yet, file->where, "%s: %s is valid from %s on", file->parameter, file->path,
                     day_text(arena, from));
}

static void check_name(const struct file *file, X509 *certificate)
{
    const char *name = check_value(file->view, "myhostname");
    if (*name != '\0' && X509_check_host(certificate, name, 0, 0, NULL) != 1)
        check_report(file->check, &wrong_name, file->where, "%s: %s is not for %s", file->parameter, file->path, name);
}

static void check_pair(const struct file *certificate_file, const struct file *key_file, bool is_server)
{
    X509 *certificate = read_certificate(certificate_file);
    EVP_PKEY *key = read_key(key_file);
    if (certificate != NULL) {
        check_dates(certificate_file, certificate);
        if (is_server)
            check_name(certificate_file, certificate);
    }
    if (certificate != NULL && key != NULL && X509_check_private_key(certificate, key) != 1)
        check_report(key_file->check, &wrong_key, key_file->where, "%s is not the key of %s", key_file->path,
                     certificate_file->path);
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
}

/* --- settings -------------------------------------------------------------------------------- */

static struct file make_file(struct check *check, const struct check_view *view, const char *name, const char *path)
{
    return (struct file){check, view, name, path, check_locate(check, view, name, NULL, 0)};
}

/* "smtpd_tls_cert_file" and its key, which by default is in the same file. */
static void check_cert_and_key(struct check *check, const struct check_view *view, const char *name)
{
    const char *kind = strstr(name, "cert_file");
    char *key_name = arena_printf(check->arena, "%.*skey_file", (int)(kind - name), name);
    const char *path = check_value(view, name), *key_path = check_value(view, key_name);
    if (*path == '\0' || text_equal_nocase(path, "none"))
        return;
    struct file certificate = make_file(check, view, name, path), key = make_file(check, view, key_name, key_path);
    if (key.where.file == NULL || *key_path == '\0')
        key = make_file(check, view, name, *key_path != '\0' ? key_path : path);
    check_pair(&certificate, &key, strncmp(name, "smtpd_", 6) == 0);
}

/* Each file holds a key and behind it its certificates, or a file of keys stands before one of certificates. */
static void check_chain_files(struct check *check, const struct check_view *view, const char *name)
{
    char **paths;
    size_t count = config_split_list(check_value(view, name), check->arena, &paths);
    for (size_t i = 0; i < count; i++) {
        struct file file = {check, view, name, paths[i], check_locate(check, view, name, paths[i], 0)};
        struct file next = file;
        FILE *in = open_file(&file);
        if (in == NULL)
            continue;
        X509 *certificate = PEM_read_X509(in, NULL, no_passphrase, NULL);
        fclose(in);
        ERR_clear_error();
        if (certificate == NULL && i + 1 < count)
            next.path = paths[++i];
        X509_free(certificate);
        check_pair(&next, &file, strncmp(name, "smtpd_", 6) == 0);
    }
}

static void check_ca(struct check *check, const struct check_view *view, const char *name)
{
    const char *path = check_value(view, name);
    if (*path != '\0' && access(path, R_OK) != 0)
        check_report(check, &missing_ca, check_locate(check, view, name, NULL, 0), "%s: cannot read %s: %s", name, path,
                     strerror(errno));
}

static void check_setting(struct check *check, const struct check_view *view, const char *name)
{
    if (strncmp(name, "smtpd_tls_", 10) != 0 && strncmp(name, "smtp_tls_", 9) != 0 && strncmp(name, "lmtp_tls_", 9) != 0)
        return;
    if (check_has_suffix(name, "cert_file"))
        check_cert_and_key(check, view, name);
    else if (check_has_suffix(name, "_chain_files"))
        check_chain_files(check, view, name);
    else if (check_has_suffix(name, "_CAfile") || check_has_suffix(name, "_CApath"))
        check_ca(check, view, name);
}

void check_certificates(struct check *check)
{
    check_each_setting(check, check_setting);
}
