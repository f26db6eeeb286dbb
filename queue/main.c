/* SPDX-License-Identifier: ISC */
/* queue's main(): everything is in role.c. */
#include "queue/role.h"

int main(int argc, char **argv)
{
    return role_main(&queue_role, argc, argv);
}
