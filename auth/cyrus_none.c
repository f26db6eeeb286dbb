/* SPDX-License-Identifier: ISC */
/* cyrus_none: a build without Cyrus SASL: smtpd_sasl_type = cyrus is answered with a passing failure that says why. */
#include "auth/auth.h"
#include "common/base/log.h"

#define WHY "this build has no Cyrus SASL (libsasl2)"

void *cyrus_open(const char *application UNUSED, const char *config_path UNUSED, const struct config *config UNUSED)
{
    log_warning("smtpd_sasl_type = cyrus: " WHY);
    return NULL;
}

static void no_mechanisms(void *state UNUSED, const struct sasl_client *client UNUSED, struct arena *arena,
                          struct sasl_answer *answer)
{
    answer_set(answer, SASL_UNAVAILABLE, WHY, arena);
}

static void no_start(struct exchange *exchange UNUSED, const struct sasl_client *client UNUSED,
                     const char *mechanism UNUSED, const struct slice *initial UNUSED, struct arena *arena,
                     struct sasl_answer *answer)
{
    answer_set(answer, SASL_UNAVAILABLE, WHY, arena);
}

const struct backend_driver cyrus_driver = {.mechanisms = no_mechanisms, .start = no_start};
