/* SPDX-License-Identifier: ISC */
/* What smtpd_tls_protocols and the other small languages of the TLS parameters mean. Pure; unit-tested as tables. */
#ifndef POSTHORN_TLS_PROTOCOLS_H
#define POSTHORN_TLS_PROTOCOLS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/str.h"

/* "!SSLv2, !SSLv3", ">=TLSv1.2, <=0304", "TLSv1.2 TLSv1.3": versions as they stand on the wire, 0 for no bound. */
struct tls_protocols {
    int lowest, highest;
    uint64_t exclusions; /* SSL_OP_NO_... */
};
/* False: a name or number is not understood. */
bool tls_protocols_parse(const char *text, struct tls_protocols *protocols) MUST_CHECK;

/* The base list with ":!word" for each exclusion ("aNULL, DES"). NULL: a word begins with an operator, *bad is it. */
char *tls_cipher_list(const char *base, const char *exclusions, const char **bad);
/* Which of tls_high_cipherlist, tls_medium_cipherlist and tls_null_cipherlist a grade stands for; NULL: no such grade. */
const char *tls_cipher_parameter(const char *grade);

/* tls_ssl_options: names of SSL_OP_... or 0x numbers; unknown words are warned of. */
uint64_t tls_options_parse(const char *text, const char *parameter);
/* The bug workarounds that remain when these are disabled (tls_disable_workarounds). */
uint64_t tls_workarounds_parse(const char *text, const char *parameter);

/* smtpd_tls_loglevel. */
enum tls_log {
    TLS_LOG_SUMMARY = 1 << 0,
    TLS_LOG_UNTRUSTED = 1 << 1,
    TLS_LOG_PEER_CERTIFICATE = 1 << 2,
    TLS_LOG_VERBOSE = 1 << 3,
    TLS_LOG_CACHE = 1 << 4,
    TLS_LOG_DEBUG = 1 << 5,
};
unsigned tls_log_parse(const char *text, const char *parameter);

#endif
