/* SPDX-License-Identifier: ISC */
/* auth: asks Cyrus SASL and Dovecot who may log in. */
#include "auth/auth.h"

int main(int argc, char **argv)
{
    return role_main(&auth_role, argc, argv);
}
