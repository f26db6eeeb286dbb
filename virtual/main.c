/* SPDX-License-Identifier: ISC */
/* virtual's main(): everything is in role.c. */
#include "virtual/role.h"

int main(int argc, char **argv)
{
    return role_main(&virtual_role, argc, argv);
}
