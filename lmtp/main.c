/* SPDX-License-Identifier: ISC */
/* lmtp's main(): everything is in role.c. */
#include "lmtp/role.h"

int main(int argc, char **argv)
{
    return role_main(&lmtp_role, argc, argv);
}
