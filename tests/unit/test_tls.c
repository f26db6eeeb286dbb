/* SPDX-License-Identifier: ISC */
/* The small languages of the TLS parameters, the records of keys, PEM files, and signatures by a key in another place. */
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/base/mem.h"
#include "common/tls/credentials.h"
#include "common/tls/level.h"
#include "common/tls/protocols.h"
#include "common/tls/remote_key.h"
#include "keys/keys.h"

/* --- protocols ---------------------------------------------------------------------------------------- */

#define ALL (SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3)

static void test_protocols(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool good;
        int lowest, highest;
        uint64_t exclusions;
    } cases[] = {
        {"", true, 0, 0, 0},
        {">=TLSv1.2", true, TLS1_2_VERSION, 0, 0},
        {">=TLSv1, <=TLSv1.2", true, TLS1_VERSION, TLS1_2_VERSION, 0},
        {"!SSLv2, !SSLv3", true, 0, 0, SSL_OP_NO_SSLv3},
        {"!SSLv2:!SSLv3:!TLSv1 !TLSv1.1", true, 0, 0, SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1},
        {"TLSv1.2 TLSv1.3", true, 0, 0, ALL & ~(SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3)},
        {"tlsv1.2", true, 0, 0, ALL & ~SSL_OP_NO_TLSv1_2},
        {"TLSv1.2, !TLSv1.2", true, 0, 0, ALL},
        {">=0303", true, TLS1_2_VERSION, 0, 0},
        {"<=0x0304", true, 0, TLS1_3_VERSION, 0},
        {">=None", true, 0, 0, 0},
        {"SSLv2", true, 0, 0, ALL},
        {"TLSv1.4", false, 0, 0, 0},
        {">=TLSv9", false, 0, 0, 0},
        {">=", false, 0, 0, 0},
        {">=SSLv2", false, 0, 0, 0},
        {"!", false, 0, 0, 0},
        {">=0303g", false, 0, 0, 0},
        {">=00000303", false, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tls_protocols protocols;
        assert_int_equal(tls_protocols_parse(cases[i].text, &protocols), cases[i].good);
        if (!cases[i].good)
            continue;
        assert_int_equal(protocols.lowest, cases[i].lowest);
        assert_int_equal(protocols.highest, cases[i].highest);
        assert_int_equal(protocols.exclusions, cases[i].exclusions);
    }
}

static void test_ciphers(void **state UNUSED)
{
    static const struct { const char *base, *exclusions, *list; } cases[] = {
        {"HIGH", "", "HIGH"},
        {"HIGH", "aNULL", "HIGH:!aNULL"},
        {"HIGH:@STRENGTH", "aNULL, DES:3DES  RC4", "HIGH:@STRENGTH:!aNULL:!DES:!3DES:!RC4"},
        {"HIGH", "aNULL, !RC4", NULL},
        {"HIGH", "@STRENGTH", NULL},
        {"HIGH", "+RC4", NULL},
        {"HIGH", "-RC4", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *bad = NULL;
        char *list = tls_cipher_list(cases[i].base, cases[i].exclusions, &bad);
        if (cases[i].list == NULL) {
            assert_null(list);
            assert_non_null(bad);
        } else
            assert_string_equal(list, cases[i].list);
        free(list);
    }
    assert_string_equal(tls_cipher_parameter("HIGH"), "tls_high_cipherlist");
    assert_string_equal(tls_cipher_parameter("export"), "tls_medium_cipherlist");
    assert_string_equal(tls_cipher_parameter("null"), "tls_null_cipherlist");
    assert_null(tls_cipher_parameter("best"));
    assert_null(tls_cipher_parameter(""));
}

static void test_options(void **state UNUSED)
{
    assert_int_equal(tls_options_parse("", "x"), 0);
    assert_int_equal(tls_options_parse("no_ticket, NO_COMPRESSION", "x"), SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    assert_int_equal(tls_options_parse("0x4000", "x"), SSL_OP_NO_TICKET);
    assert_int_equal(tls_options_parse("NONSENSE", "x"), 0);
    /* Versions have parameters of their own. */
    char *text = mem_printf("0x%llx", (unsigned long long)(SSL_OP_NO_TLSv1_3 | SSL_OP_NO_TICKET));
    assert_int_equal(tls_options_parse(text, "x"), SSL_OP_NO_TICKET);
    free(text);
    assert_int_equal(tls_workarounds_parse("", "x"), (uint64_t)SSL_OP_ALL);
    assert_int_equal(tls_workarounds_parse("CVE-2010-4180", "x"), (uint64_t)SSL_OP_ALL);
    assert_int_equal(tls_workarounds_parse("TLSEXT_PADDING", "x"), (uint64_t)SSL_OP_ALL & ~SSL_OP_TLSEXT_PADDING);
    assert_int_equal(tls_log_parse("0", "x"), 0);
    assert_int_equal(tls_log_parse("1", "x"), TLS_LOG_SUMMARY);
    assert_int_equal(tls_log_parse("summary, untrusted", "x"), TLS_LOG_SUMMARY | TLS_LOG_UNTRUSTED);
    assert_int_equal(tls_log_parse("4", "x"), tls_log_parse("2", "x"));
    assert_int_equal(tls_log_parse("loud", "x"), 0);
}

static void test_level(void **state UNUSED)
{
    static const struct {
        const char *level, *use, *enforce, *wrapper, *auth_only;
        struct tls_level expected;
    } cases[] = {
        {"", "no", "no", "no", "no", {0}},
        {"none", "yes", "yes", "no", "no", {0}},
        {"may", "no", "yes", "no", "no", {.use = true}},
        {"may", "no", "no", "no", "yes", {.use = true, .auth_only = true}},
        {"Encrypt", "no", "no", "no", "no", {.use = true, .enforce = true, .auth_only = true}},
        {"verify", "no", "no", "no", "no", {.use = true, .enforce = true, .auth_only = true}},
        {"", "yes", "no", "no", "no", {.use = true}},
        {"", "no", "yes", "no", "no", {.use = true, .enforce = true, .auth_only = true}},
        {"none", "no", "no", "yes", "no", {.use = true, .enforce = true, .wrapper = true, .auth_only = true}},
        {"nonsense", "no", "no", "no", "no", {.is_invalid = true}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *config = config_new_default();
        config_set(config, "smtpd_tls_security_level", cases[i].level);
        config_set(config, "smtpd_use_tls", cases[i].use);
        config_set(config, "smtpd_enforce_tls", cases[i].enforce);
        config_set(config, "smtpd_tls_wrappermode", cases[i].wrapper);
        config_set(config, "smtpd_tls_auth_only", cases[i].auth_only);
        struct tls_level level = tls_level_of(config);
        assert_memory_equal(&level, &cases[i].expected, sizeof level);
        config_free(config);
    }
}

/* --- what is signed --------------------------------------------------------------------------------------- */

static void check_form(const char *head, size_t head_len, size_t len, bool expected)
{
    char *bytes = mem_alloc(len + 1);
    memset(bytes, ' ', len);
    if (head_len > 0)
        memcpy(bytes + 64, head, head_len);
    assert_int_equal(keys_message_is_handshake(slice_range(bytes, len)), expected);
    free(bytes);
}

static void test_only_handshakes_are_signed(void **state UNUSED)
{
    static const char label[] = "TLS 1.3, server CertificateVerify", client[] = "TLS 1.3, client CertificateVerify";
    check_form(label, sizeof label, 64 + sizeof label + 32, true);
    check_form(label, sizeof label, 64 + sizeof label + 48, true);
    check_form(label, sizeof label, 64 + sizeof label + 31, false);
    check_form(label, sizeof label, 64 + sizeof label + 64, false);
    check_form(client, sizeof client, 64 + sizeof client + 32, false);
    check_form("\3\0\x1d\x20", 4, 64 + 4 + 32, true);  /* X25519 */
    check_form("\3\0\x17\x41", 4, 64 + 4 + 65, true);  /* P-256 */
    check_form("\3\0\x17\x41", 4, 64 + 4 + 66, false); /* something behind it */
    check_form("\3\0\x17\x41", 4, 64 + 4 + 64, false);
    check_form("\0\2pp\0\1g\0\2yy", 11, 64 + 11, false); /* no prime is that short */
    check_form("\0\0\0\1g\0\2yy", 9, 64 + 9, false);
    check_form("", 0, 64, false);
    check_form("", 0, 0, false);
    check_form("", 0, 32, false); /* a digest */
    check_form("\x30\x82\x02\x00", 4, 600, false); /* a certificate, more or less */
}

/* The key exchange of Diffie-Hellman, with numbers of these lengths, begun by four bytes of the client's choice. */
static void check_diffie_hellman(const char *head, size_t prime, size_t base, size_t value, size_t behind, bool expected)
{
    const size_t lengths[] = {prime, base, value};
    struct str message = STR_EMPTY;
    str_append_bytes(&message, head, 4);
    for (size_t i = 4; i < 64; i++)
        str_append_char(&message, 'r');
    for (size_t i = 0; i < 3; i++) {
        str_append_char(&message, (char)(lengths[i] >> 8));
        str_append_char(&message, (char)lengths[i]);
        for (size_t j = 0; j < lengths[i]; j++)
            str_append_char(&message, 'n');
    }
    for (size_t i = 0; i < behind; i++)
        str_append_char(&message, 'x');
    assert_int_equal(keys_message_is_handshake(str_slice(&message)), expected);
    str_free(&message);
}

static void test_what_poses_as_a_handshake(void **state UNUSED)
{
    check_diffie_hellman("rand", 256, 1, 256, 0, true);
    check_diffie_hellman("rand", 1024, 1, 1024, 0, true);
    check_diffie_hellman("rand", 256, 1, 256, 1, false);
    check_diffie_hellman("rand", 256, 257, 256, 0, false);
    check_diffie_hellman("rand", 256, 1, 257, 0, false);
    check_diffie_hellman("rand", 256, 0, 256, 0, false);
    check_diffie_hellman("rand", 32, 1, 32, 0, false);
    check_diffie_hellman("rand", 4096, 1, 4096, 0, false);
    /* Certificate requests and signed mail: DER from end to end, 64 + 6 + 256 + 1 + 256 = 583 bytes, four of them the head. */
    check_diffie_hellman("\x30\x82\x02\x43", 256, 1, 256, 0, false);
    check_diffie_hellman("\x31\x82\x02\x43", 256, 1, 256, 0, false);
    check_diffie_hellman("\x30\x82\x02\x44", 256, 1, 256, 0, true); /* only by chance like it */
    check_diffie_hellman("\x30\x81\xc4\0", 64, 1, 64, 0, false); /* 199 bytes, three of them the head */
    check_diffie_hellman("\x30\x81\xc3\0", 64, 1, 64, 0, true);
}

/* --- records ------------------------------------------------------------------------------------------------ */

static void test_credentials_survive_the_way(void **state UNUSED)
{
    struct config *config = config_new_default();
    struct arena *arena = arena_new();
    struct tls_credentials made = {0}, read;
    struct str body = STR_EMPTY;
    config_set(config, "smtpd_tls_cert_file", "/a.pem");
    config_set(config, "smtpd_tls_eccert_file", "/e.pem");
    config_set(config, "smtpd_tls_eckey_file", "/e.key");
    config_set(config, "tls_server_sni_maps", "inline:{ {One.Example = /k, /c}, two.example=/x }");
    tls_credentials_add(&made, arena, config, "smtp");
    tls_credentials_add(&made, arena, config, "submission");
    config_set(config, "smtpd_tls_chain_files", "/chain1, /chain2");
    tls_credentials_add(&made, arena, config, "smtps");
    tls_credentials_encode(&made, &body);
    assert_true(tls_credentials_decode(str_slice(&body), arena, &read));
    assert_int_equal(read.count, 2);
    assert_int_equal(read.sets[0].service_count, 2);
    assert_string_equal(read.sets[0].services[1], "submission");
    assert_int_equal(read.sets[0].count, 4);
    assert_int_equal(read.sets[0].list[0].kind, CREDENTIAL_PAIR);
    assert_string_equal(read.sets[0].list[0].files[1], "/a.pem"); /* key and certificate in one file */
    assert_string_equal(read.sets[0].list[1].files[1], "/e.key");
    assert_string_equal(read.sets[0].list[2].server_name, "one.example");
    assert_int_equal(read.sets[0].list[2].file_count, 2);
    assert_int_equal(read.sets[1].list[0].file_count, 2);
    assert_int_equal(read.sets[1].list[0].kind, CREDENTIAL_CHAIN);
    for (size_t len = 0; len < body.len; len++)
        assert_false(tls_credentials_decode(slice_range(body.data, len), arena, &read));
    str_free(&body);
    arena_free(arena);
    config_free(config);
}

/* --- keys and signatures ------------------------------------------------------------------------------------ */

struct made {
    EVP_PKEY *key;
    X509 *certificate;
    struct str key_text, certificate_text;
};

static void take_text(BIO *bio, struct str *text)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    str_append_bytes(text, data, (size_t)len);
    BIO_free(bio);
}

static struct made make(const char *type)
{
    struct made made = {.key = strcmp(type, "RSA") == 0 ? EVP_RSA_gen(2048) : strcmp(type, "EC") == 0 ? EVP_EC_gen("P-256") :
                               EVP_PKEY_Q_keygen(NULL, NULL, type), .certificate = X509_new()};
    X509_NAME *name = X509_get_subject_name(made.certificate);
    X509_set_version(made.certificate, 2);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), 86400);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(made.certificate, name);
    X509_set_pubkey(made.certificate, made.key);
    X509_sign(made.certificate, made.key, strncmp(type, "ED", 2) == 0 ? NULL : EVP_sha256());
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, made.key, NULL, NULL, 0, NULL, NULL);
    take_text(bio, &made.key_text);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, made.certificate);
    take_text(bio, &made.certificate_text);
    return made;
}

static void unmake(struct made *made)
{
    EVP_PKEY_free(made->key);
    X509_free(made->certificate);
    str_free(&made->key_text);
    str_free(&made->certificate_text);
}

static EVP_PKEY *signing_key;
static unsigned signatures;

static bool sign_here(const struct keys_sign *sign, struct str *signature)
{
    unsigned char id[KEYS_ID_SIZE];
    struct str body = STR_EMPTY;
    struct keys_sign read;
    struct arena *arena = arena_new();
    assert_true(remote_key_id(signing_key, id));
    assert_memory_equal(id, sign->id, KEYS_ID_SIZE);
    keys_sign_encode(sign, &body);
    assert_true(keys_sign_decode(str_slice(&body), arena, &read));
    bool good = sign_message(signing_key, &read, signature);
    str_free(&body);
    arena_free(arena);
    signatures++;
    return good;
}

static void shake_hands(const struct made *made, int newest, const char *ciphers)
{
    SSL_CTX *server = SSL_CTX_new(TLS_server_method()), *client = SSL_CTX_new(TLS_client_method());
    EVP_PKEY *remote = remote_key_new(X509_get0_pubkey(made->certificate));
    BIO *one, *other;
    assert_non_null(remote);
    assert_int_equal(SSL_CTX_use_certificate(server, made->certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server, remote), 1);
    assert_int_equal(SSL_CTX_check_private_key(server), 1);
    SSL_CTX_set_dh_auto(server, 1);
    SSL_CTX_set_max_proto_version(client, newest);
    if (ciphers != NULL)
        assert_int_equal(SSL_CTX_set_cipher_list(client, ciphers), 1);
    SSL *left = SSL_new(server), *right = SSL_new(client);
    BIO_new_bio_pair(&one, 0, &other, 0);
    SSL_set_bio(left, one, one);
    SSL_set_bio(right, other, other);
    SSL_set_accept_state(left);
    SSL_set_connect_state(right);
    signing_key = made->key;
    unsigned before = signatures;
    int left_done = 0, right_done = 0;
    for (int i = 0; i < 6 && (left_done != 1 || right_done != 1); i++) {
        right_done = SSL_do_handshake(right);
        left_done = SSL_do_handshake(left);
    }
    assert_int_equal(left_done, 1);
    assert_int_equal(right_done, 1);
    assert_int_equal(signatures, before + 1);
    SSL_free(left);
    SSL_free(right);
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    EVP_PKEY_free(remote);
}

static void test_handshakes_with_a_key_elsewhere(void **state UNUSED)
{
    static const char *const types[] = {"RSA", "EC", "ED25519", "ED448"};
    remote_key_init(sign_here);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct made made = make(types[i]);
        shake_hands(&made, 0, NULL);
        shake_hands(&made, TLS1_2_VERSION, NULL);
        if (i == 0)
            shake_hands(&made, TLS1_2_VERSION, "DHE-RSA-AES256-GCM-SHA384");
        /* Ordinary keys are as they were. */
        EVP_PKEY *copy = X509_get_pubkey(made.certificate);
        assert_int_equal(X509_verify(made.certificate, copy), 1);
        assert_null(strstr(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(copy)), "posthorn"));
        EVP_PKEY_free(copy);
        unmake(&made);
    }
}

static void test_nothing_else_is_signed(void **state UNUSED)
{
    struct made made = make("EC");
    unsigned char id[KEYS_ID_SIZE] = {0};
    char digest[] = "SHA256", unknown[] = "SHA3-256", message[64 + 4 + 65];
    struct str signature = STR_EMPTY;
    memset(message, 0, sizeof message);
    memcpy(message + 64, "\3\0\x17\x41", 4);
    struct keys_sign sign = {id, KEYS_PADDING_NONE, digest, slice_range(message, sizeof message)};
    assert_true(sign_message(made.key, &sign, &signature));
    sign.message.len--;
    assert_false(sign_message(made.key, &sign, &signature));
    sign.message.len++;
    sign.digest = unknown;
    assert_false(sign_message(made.key, &sign, &signature));
    sign.digest = digest;
    sign.padding = KEYS_PADDING_PSS;
    assert_false(sign_message(made.key, &sign, &signature));
    str_free(&signature);
    unmake(&made);
}

/* --- PEM files ----------------------------------------------------------------------------------------------- */

static bool chains_of(struct slice first, struct slice second, bool is_pair, size_t *count, char **problem)
{
    struct pem_file one, other;
    const struct pem_file *files[2] = {&one, &other};
    struct chain *chains = NULL;
    pem_parse(first, &one);
    pem_parse(second, &other);
    *problem = NULL;
    bool good = one.problem == NULL && other.problem == NULL &&
                (is_pair ? pem_make_pair(&one, &other, &chains, count, problem) : pem_make_chains(files, 2, &chains, count, problem));
    for (size_t i = 0; good && i < *count; i++)
        chain_free(&chains[i]);
    free(chains);
    pem_free(&one);
    pem_free(&other);
    return good;
}

static void test_pem_files(void **state UNUSED)
{
    struct made rsa = make("RSA"), ec = make("EC");
    struct str both = STR_EMPTY, wrong = STR_EMPTY;
    size_t count;
    char *problem;
    struct slice rsa_key = str_slice(&rsa.key_text), rsa_certificate = str_slice(&rsa.certificate_text);
    struct slice ec_key = str_slice(&ec.key_text), ec_certificate = str_slice(&ec.certificate_text);
    assert_true(chains_of(rsa_certificate, rsa_key, true, &count, &problem));
    assert_false(chains_of(rsa_certificate, ec_key, true, &count, &problem));
    assert_non_null(strstr(problem, "the key is not that of the certificate"));
    free(problem);
    str_append_slice(&both, ec_key);
    str_append_slice(&both, ec_certificate);
    str_append_slice(&both, rsa_key);
    assert_true(chains_of(str_slice(&both), rsa_certificate, false, &count, &problem));
    assert_int_equal(count, 2);
    str_append_slice(&wrong, ec_certificate);
    assert_false(chains_of(str_slice(&wrong), ec_key, false, &count, &problem));
    free(problem);
    /* A file that somebody is writing to: whatever is there, it is not taken for whole. */
    for (size_t len = 1; len + 1 < rsa_certificate.len; len += 37) {
        assert_false(chains_of(slice_range(rsa_certificate.data, len), rsa_key, true, &count, &problem));
        free(problem);
    }
    for (size_t len = 1; len + 1 < rsa_key.len; len += 53) {
        assert_false(chains_of(rsa_certificate, slice_range(rsa_key.data, len), true, &count, &problem));
        free(problem);
    }
    struct pem_file locked;
    pem_parse(SLICE("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"), &locked);
    assert_string_equal(locked.problem, "its key needs a passphrase");
    pem_free(&locked);
    str_free(&both);
    str_free(&wrong);
    unmake(&rsa);
    unmake(&ec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protocols),
        cmocka_unit_test(test_ciphers),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_level),
        cmocka_unit_test(test_only_handshakes_are_signed),
        cmocka_unit_test(test_what_poses_as_a_handshake),
        cmocka_unit_test(test_credentials_survive_the_way),
        cmocka_unit_test(test_handshakes_with_a_key_elsewhere),
        cmocka_unit_test(test_nothing_else_is_signed),
        cmocka_unit_test(test_pem_files),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remote_key_end();
    return failed;
}
