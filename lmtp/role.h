/* SPDX-License-Identifier: ISC */
/* The lmtp role's description: apart from main() so that tests can run it in their own process. */
#ifndef POSTHORN_LMTP_ROLE_H
#define POSTHORN_LMTP_ROLE_H

#include "common/process/role.h"

extern const struct role lmtp_role;

#endif
