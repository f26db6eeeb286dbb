/* SPDX-License-Identifier: ISC */
/* smtpd: port 25, where nobody logs in. */
#include "common/service/service.h"

int main(int argc, char **argv)
{
    return service_main(ROLE_SMTPD, argc, argv);
}
