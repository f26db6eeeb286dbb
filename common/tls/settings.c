/* SPDX-License-Identifier: ISC */
/*
 * settings: main.cf's view of TLS on the server side. Called with the rights of the caller (role->open), because it reads CA
 * files and OpenSSL's configuration. A mistake that would make sessions less safe than wanted turns TLS off, with a
 * warning: then STARTTLS is answered with 454, and nothing passes where encryption is demanded.
 */
#include "common/tls/settings.h"

#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/tls/describe.h"

/* tls_config_file: "default" is the system's, "none" none. */
static bool load_openssl(const struct config *config)
{
    const char *file = config_string(config, "tls_config_file"), *name = config_string(config, "tls_config_name");
    OPENSSL_INIT_SETTINGS *settings = OPENSSL_INIT_new();
    uint64_t options = 0;
    unsigned long flags = 0;
    bool good = settings != NULL;
    if (strcmp(file, "none") == 0)
        options |= OPENSSL_INIT_NO_LOAD_CONFIG;
    else if (strcmp(file, "default") == 0)
        flags = CONF_MFLAGS_IGNORE_MISSING_FILE | CONF_MFLAGS_DEFAULT_SECTION | CONF_MFLAGS_IGNORE_RETURN_CODES | CONF_MFLAGS_SILENT;
    else if (*file == '/')
        good = good && OPENSSL_INIT_set_config_filename(settings, file) == 1;
    else {
        log_warning("non-default tls_config_file = %s is not an absolute pathname, disabling TLS support", file);
        good = false;
    }
    if (good) {
        OPENSSL_INIT_set_config_file_flags(settings, flags);
        good = (*name == '\0' || OPENSSL_INIT_set_config_appname(settings, name) == 1) &&
               OPENSSL_init_ssl(options, settings) == 1;
        if (!good)
            log_warning("error loading the '%s' settings from the %s OpenSSL configuration file, disabling TLS support",
                        *name != '\0' ? name : "global", file);
    }
    OPENSSL_INIT_free(settings);
    tls_log_errors();
    return good;
}

/* --- ciphers and groups ------------------------------------------------------------------------------ */

static bool read_ciphers(struct tls_settings *settings, const struct config *config)
{
    bool enforce = settings->level.enforce;
    const char *grade = config_string(config, enforce ? "smtpd_tls_mandatory_ciphers" : "smtpd_tls_ciphers");
    const char *parameter = tls_cipher_parameter(grade), *bad = NULL;
    if (parameter == NULL) {
        log_warning("%s: invalid cipher grade: \"%s\"", enforce ? "smtpd_tls_mandatory_ciphers" : "smtpd_tls_ciphers", grade);
        return false;
    }
    /* Key exchange with RSA has no forward secrecy, and keys signs but never decrypts. */
    char *excluded = mem_printf("%s %s %s kRSA kRSAPSK", config_string(config, "smtpd_tls_exclude_ciphers"),
                                enforce ? config_string(config, "smtpd_tls_mandatory_exclude_ciphers") : "",
                                settings->asks_certificate ? "aNULL" : "");
    settings->ciphers = tls_cipher_list(config_string(config, parameter), excluded, &bad);
    if (settings->ciphers == NULL)
        log_warning("invalid unary '!+-@' in cipher exclusion: %s", bad);
    free(excluded);
    return settings->ciphers != NULL;
}

/* What this OpenSSL does not know is left out, as Postfix does; "?" in front and DEFAULT are the language of OpenSSL 3.5. */
static void add_groups(SSL_CTX *probe, const char *list, struct str *groups)
{
    struct slice rest = slice_of(list), word;
    while (slice_next_token(&rest, ", \t\r\n:/", &word)) {
        while (word.len > 0 && (word.data[0] == '?' || word.data[0] == '*'))
            word = slice_skip(word, 1);
        if (slice_equal_nocase(word, SLICE("DEFAULT"))) {
            add_groups(probe, "X25519 P-256 X448 P-384 P-521", groups);
            continue;
        }
        char *name = mem_strndup(word.data, word.len);
        if (word.len > 0 && SSL_CTX_set1_groups_list(probe, name) == 1)
            str_printf(groups, "%s%s", groups->len > 0 ? ":" : "", name);
        free(name);
    }
    ERR_clear_error();
}

static void read_groups(struct tls_settings *settings, const struct config *config)
{
    struct str groups = STR_EMPTY;
    SSL_CTX *probe = SSL_CTX_new(TLS_server_method());
    if (probe == NULL)
        return;
    add_groups(probe, config_string(config, "tls_eecdh_auto_curves"), &groups); /* smtpd_tls_eecdh_grade is ignored since 3.6 */
    add_groups(probe, config_string(config, "tls_ffdhe_auto_groups"), &groups);
    SSL_CTX_free(probe);
    settings->groups = groups.len > 0 ? str_detach(&groups) : NULL;
}

static void read_dh(struct tls_settings *settings, const struct config *config)
{
    const char *path = config_string(config, "smtpd_tls_dh1024_param_file");
    if (*path == '\0' || text_equal_nocase(path, "auto"))
        return;
    BIO *file = BIO_new_file(path, "r");
    settings->dh = file != NULL ? PEM_read_bio_Parameters(file, NULL) : NULL;
    if (settings->dh == NULL || EVP_PKEY_is_a(settings->dh, "DH") != 1) {
        log_warning("cannot load DH parameters from file %s -- using compiled-in defaults", path);
        tls_log_errors();
        EVP_PKEY_free(settings->dh);
        settings->dh = NULL;
    }
    BIO_free(file);
}

/* --- authorities ---------------------------------------------------------------------------------------- */

static bool load_authority_file(struct tls_settings *settings, const char *path)
{
    if (X509_STORE_load_file(settings->authorities, path) == 1)
        return true;
    log_warning("cannot load Certification Authority data, CAfile=\"%s\": disabling TLS support", path);
    tls_log_errors();
    return false;
}

/* All at once, now: after start nothing can be opened. Only names of the form that OpenSSL would look for. */
static bool load_authority_directory(struct tls_settings *settings, const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    if (directory == NULL) {
        log_warning("cannot load Certification Authority data, CApath=\"%s\": %s: disabling TLS support", path, strerror(errno));
        return false;
    }
    while ((entry = readdir(directory)) != NULL) {
        if (strspn(entry->d_name, "0123456789abcdefABCDEF") != 8 || entry->d_name[8] != '.' || entry->d_name[9] == 'r')
            continue;
        char *file = mem_printf("%s/%s", path, entry->d_name);
        if (X509_STORE_load_file(settings->authorities, file) != 1)
            ERR_clear_error();
        free(file);
    }
    closedir(directory);
    return true;
}

/* Where OpenSSL would look, with its own two variables of the environment. */
static bool load_default_authorities(struct tls_settings *settings)
{
    const char *file = getenv(X509_get_default_cert_file_env()), *path = getenv(X509_get_default_cert_dir_env());
    if (file == NULL && access(X509_get_default_cert_file(), R_OK) == 0)
        file = X509_get_default_cert_file();
    return (file == NULL || load_authority_file(settings, file)) &&
           load_authority_directory(settings, path != NULL ? path : X509_get_default_cert_dir());
}

static bool read_authorities(struct tls_settings *settings, const struct config *config)
{
    const char *file = config_string(config, "smtpd_tls_CAfile"), *path = config_string(config, "smtpd_tls_CApath");
    if (*file == '\0' && *path == '\0')
        return true;
    settings->authorities = X509_STORE_new();
    if (settings->authorities == NULL || (*file != '\0' && !load_authority_file(settings, file)) ||
        (*path != '\0' && !load_authority_directory(settings, path)) ||
        (config_bool(config, "tls_append_default_CA") && !load_default_authorities(settings)))
        return false;
    if (settings->asks_certificate && *file != '\0')
        settings->authority_names = SSL_load_client_CA_file(file);
    tls_log_errors();
    return true;
}

/* --- all of it ---------------------------------------------------------------------------------------------- */

static void read_sessions(struct tls_settings *settings, const struct config *config)
{
    const char *cipher = config_string(config, "tls_session_ticket_cipher");
    settings->session_seconds = config_seconds(config, "smtpd_tls_session_cache_timeout");
    bool keeps = settings->session_seconds > 0;
    settings->keeps_sessions = keeps && *config_string(config, "smtpd_tls_session_cache_database") != '\0';
    settings->issues_tickets = keeps && *cipher != '\0' && (settings->options & SSL_OP_NO_TICKET) == 0;
    settings->issues_session_ids = config_bool(config, "smtpd_tls_always_issue_session_ids");
    if (!settings->issues_tickets)
        settings->options |= SSL_OP_NO_TICKET;
}

static void read_options(struct tls_settings *settings, const struct config *config)
{
    settings->options = tls_workarounds_parse(config_string(config, "tls_disable_workarounds"), "tls_disable_workarounds") |
                        tls_options_parse(config_string(config, "tls_ssl_options"), "tls_ssl_options") |
                        SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF |
                        settings->protocols.exclusions;
    /* Where the order is ours, clients without AES in hardware still get ChaCha20 when they prefer it. */
    if (config_bool(config, "tls_preempt_cipherlist"))
        settings->options |= SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA;
}

static bool read_protocols(struct tls_settings *settings, const struct config *config)
{
    const char *text = config_string(config, settings->level.enforce ? "smtpd_tls_mandatory_protocols" : "smtpd_tls_protocols");
    if (tls_protocols_parse(text, &settings->protocols))
        return true;
    log_warning("Invalid TLS protocol list \"%s\": disabling TLS support", text);
    return false;
}

static bool has_certificates(struct tls_settings *settings, const struct config *config)
{
    const char *file = config_string(config, "smtpd_tls_cert_file");
    bool legacy = (*file != '\0' && !text_equal_nocase(file, "none")) || *config_string(config, "smtpd_tls_eccert_file") != '\0' ||
                  *config_string(config, "smtpd_tls_dcert_file") != '\0';
    bool chain = *config_string(config, "smtpd_tls_chain_files") != '\0';
    if (chain && legacy)
        log_warning("Both smtpd_tls_chain_files and one or more of the legacy  smtpd_tls_cert_file, smtpd_tls_eccert_file or "
                    "smtpd_tls_dcert_file are non-empty; the legacy  parameters will be ignored");
    if (!chain && !legacy && settings->asks_certificate)
        log_warning("Need a server cert to request client certs");
    settings->is_anonymous = !chain && !legacy && text_equal_nocase(file, "none") && !settings->asks_certificate;
    if (chain || legacy || settings->is_anonymous)
        return true;
    log_warning("No server certs available. TLS won't be enabled");
    return false;
}

static void read_client_certificates(struct tls_settings *settings, const struct config *config)
{
    bool requires = config_bool(config, "smtpd_tls_req_ccert");
    settings->requires_certificate = requires && settings->level.enforce;
    settings->asks_certificate = config_bool(config, "smtpd_tls_ask_ccert") || settings->requires_certificate;
    settings->trusts_server_certificates = config_bool(config, "tls_trust_server_ccerts");
    settings->verify_depth = (int)config_int(config, "smtpd_tls_ccert_verifydepth");
    settings->digest = config_string(config, "smtpd_tls_fingerprint_digest");
    if (requires && !settings->level.enforce)
        log_warning("Can't require client certs unless TLS is required");
}

void tls_settings_read(struct tls_settings *settings, const struct config *config, const char *service)
{
    *settings = (struct tls_settings){.service = service, .level = tls_level_of(config)};
    if (settings->level.is_invalid)
        log_fatal("Invalid TLS level \"%s\"", config_string(config, "smtpd_tls_security_level"));
    if (!settings->level.use)
        return;
    settings->log = tls_log_parse(config_string(config, "smtpd_tls_loglevel"), "smtpd_tls_loglevel");
    settings->handshake_seconds = config_seconds(config, "smtpd_starttls_timeout");
    settings->uses_server_names = *config_string(config, "tls_server_sni_maps") != '\0';
    settings->waits_for_close = !config_bool(config, "tls_fast_shutdown_enable");
    read_client_certificates(settings, config);
    if (!has_certificates(settings, config) || !load_openssl(config) || !read_protocols(settings, config))
        return;
    if (EVP_get_digestbyname(settings->digest) == NULL) {
        log_warning("Digest algorithm \"%s\" not found, disabling TLS support", settings->digest);
        return;
    }
    read_options(settings, config);
    read_sessions(settings, config);
    read_groups(settings, config);
    read_dh(settings, config);
    settings->works = read_ciphers(settings, config) && read_authorities(settings, config);
}
