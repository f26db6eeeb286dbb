/* SPDX-License-Identifier: ISC */
/*
 * libpq, loaded when the first pgsql: table is opened: it brings twenty more libraries (Kerberos, LDAP, GnuTLS), whose
 * loading was a fifth of what a start costs, for everybody. <libpq-fe.h> stays the interface; libpq.c holds the functions.
 */
#ifndef POSTHORN_TABLE_LIBPQ_H
#define POSTHORN_TABLE_LIBPQ_H

#include <stdbool.h>

#include "common/base/status.h"

/* To be called before any function of libpq, while files may be opened. False with words the caller frees. */
bool libpq_load(char **error) MUST_CHECK;

#endif
