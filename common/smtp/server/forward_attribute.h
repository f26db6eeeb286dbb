/* SPDX-License-Identifier: ISC */
/*
 * The attributes of XCLIENT and XFORWARD (XCLIENT_README, XFORWARD_README): "NAME=mail.example ADDR=192.0.2.1 ...", each
 * value in xtext. Pure; fuzzed. Nothing of a command counts unless all of it is well-formed.
 */
#ifndef POSTHORN_SMTP_SERVER_FORWARD_ATTRIBUTE_H
#define POSTHORN_SMTP_SERVER_FORWARD_ATTRIBUTE_H

#include "common/smtp/server/session.h"

enum forward_set {
    FORWARD_NAME = 1 << 0, FORWARD_ADDRESS = 1 << 1, FORWARD_PORT = 1 << 2, FORWARD_HELO = 1 << 3,
    FORWARD_PROTOCOL = 1 << 4, FORWARD_REVERSE_NAME = 1 << 5, FORWARD_LOGIN = 1 << 6, FORWARD_SERVER_ADDRESS = 1 << 7,
    FORWARD_SERVER_PORT = 1 << 8, FORWARD_IDENT = 1 << 9, FORWARD_DOMAIN = 1 << 10,
};

/* What a command said; texts live in the arena. "unknown" stands for [UNAVAILABLE] and [TEMPUNAVAIL], NULL for a HELO,
 * login or ident that is not known. */
struct forward_attributes {
    unsigned set; /* enum forward_set */
    const char *name, *reverse_name, *address, *port, *helo, *protocol, *login, *server_address, *server_port, *ident;
    enum smtp_name_status name_status, reverse_status;
    bool is_local; /* SOURCE=LOCAL */
};

/* NULL, or the 501 that refuses the command. */
const char *xclient_parse(const struct smtp_command *command, struct arena *arena, struct forward_attributes *attributes);
const char *xforward_parse(const struct smtp_command *command, struct arena *arena, struct forward_attributes *attributes);

#endif
