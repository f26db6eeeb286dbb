/* SPDX-License-Identifier: ISC */
/* submission: every service with smtpd_sasl_auth_enable, on port 587, 465 or any other. */
#include "common/service/service.h"

int main(int argc, char **argv)
{
    return service_main(ROLE_SUBMISSION, argc, argv);
}
