/* SPDX-License-Identifier: ISC */
/* Texts in JSON (RFC 8259), for the commands that print it. */
#ifndef POSTHORN_COMMANDS_JSON_H
#define POSTHORN_COMMANDS_JSON_H

#include <stdio.h>

/* With its quotes; bytes that are no UTF-8 become '?'. NULL is null. */
void json_print_text(FILE *out, const char *text);

#endif
