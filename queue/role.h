/* SPDX-License-Identifier: ISC */
#ifndef POSTHORN_QUEUE_ROLE_H
#define POSTHORN_QUEUE_ROLE_H

#include "common/process/role.h"

extern const struct role queue_role;

#endif
