/* SPDX-License-Identifier: ISC */
/*
 * Records between a service where people log in and `auth`, the one process that talks to the authentication service
 * (Cyrus SASL in its workers, Dovecot over its socket). One exchange is one AUTH command: START, then CONTINUE for each
 * further response, until the answer is not SASL_MORE; or CANCEL. Responses travel as the client sent them, in base64.
 */
#ifndef POSTHORN_SASL_PROTOCOL_H
#define POSTHORN_SASL_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/str.h"
#include "common/process/ipc_codec.h"

#define SASL_RESPONSE_LIMIT 65536 /* octets of one response, whatever smtpd_sasl_response_limit says */
#define SASL_QUESTION_LIMIT (SASL_RESPONSE_LIMIT + 8192)

enum sasl_record {
    SASL_ASK_MECHANISMS = 1, /* request {struct sasl_client}                                        -> {struct sasl_answer} */
    SASL_ASK_START = 2,      /* request {struct sasl_client, text mechanism, bool is_initial, bytes} -> {struct sasl_answer} */
    SASL_ASK_CONTINUE = 3,   /* request {u64 exchange, bytes response}                              -> {struct sasl_answer} */
    SASL_ASK_CANCEL = 4,     /* notice  {u64 exchange}: the client gave up or is gone */
};

enum sasl_type { SASL_CYRUS = 0, SASL_DOVECOT = 1 };

/* What smtpd_sasl_security_options asks for: a mask. */
enum sasl_property {
    SASL_NO_PLAINTEXT = 1 << 0, SASL_NO_ACTIVE = 1 << 1, SASL_NO_DICTIONARY = 1 << 2, SASL_NO_ANONYMOUS = 1 << 3,
    SASL_WANT_FORWARD_SECRECY = 1 << 4, SASL_WANT_MUTUAL_AUTH = 1 << 5,
};

/* Which authentication service, and what it may know of the client. No text is NULL. */
struct sasl_client {
    uint8_t type;        /* enum sasl_type */
    char *path;          /* smtpd_sasl_path: Dovecot's socket, or the name of Cyrus SASL's configuration file */
    char *config_path;   /* cyrus_sasl_config_path */
    char *service;       /* smtpd_sasl_service: "smtp" */
    char *realm;         /* smtpd_sasl_local_domain */
    char *host_name;
    uint32_t properties; /* mask of enum sasl_property */
    char *client_address, *client_port, *server_address, *server_port;
    bool is_encrypted;
    uint32_t cipher_bits;
    char *certificate_name; /* of a client whose certificate is trusted; "" for none */
    char *binding_type;     /* channel binding (RFC 5056): "tls-exporter", or "" */
    struct slice binding;
};

enum sasl_status {
    SASL_DONE = 0,        /* logged in: login holds the name. To MECHANISMS: text is the list, "PLAIN LOGIN" */
    SASL_MORE = 1,        /* text is the challenge, in base64 */
    SASL_FAILED = 2,      /* text is the reason */
    SASL_UNAVAILABLE = 3, /* cannot say now; text is the reason */
};

struct sasl_answer {
    uint8_t status;    /* enum sasl_status */
    uint64_t exchange; /* with SASL_MORE */
    char *text;
    char *login;       /* with SASL_FAILED too, when the service knows whom it was about; otherwise "" */
};

void sasl_client_encode(const struct sasl_client *client, struct str *out);
/* Reads one from within a record; the reader tells whether it went well. Texts live in the arena. */
void sasl_client_get(struct ipc_reader *reader, struct arena *arena, struct sasl_client *client);
void sasl_answer_encode(const struct sasl_answer *answer, struct str *out);
bool sasl_answer_decode(struct slice body, struct arena *arena, struct sasl_answer *answer) MUST_CHECK;

#endif
