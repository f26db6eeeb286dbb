/* SPDX-License-Identifier: ISC */
/* The virtual role's description: apart from main() so that tests can run it in their own process. */
#ifndef POSTHORN_VIRTUAL_ROLE_H
#define POSTHORN_VIRTUAL_ROLE_H

#include "common/process/role.h"

extern const struct role virtual_role;

#endif
