/* SPDX-License-Identifier: ISC */
/* lookup's main(): everything is in role.c. */
#include "lookup/lookup.h"

int main(int argc, char **argv)
{
    return role_main(&lookup_role, argc, argv);
}
