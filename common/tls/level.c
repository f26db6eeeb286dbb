/* SPDX-License-Identifier: ISC */
/* level: whether a service speaks TLS, and whether it must. Pure. */
#include "common/tls/level.h"

struct tls_level tls_level_of(const struct config *config)
{
    struct tls_level level = {0};
    const char *name = config_string(config, "smtpd_tls_security_level");
    level.wrapper = config_bool(config, "smtpd_tls_wrappermode");
    level.use = config_bool(config, "smtpd_use_tls");
    level.enforce = config_bool(config, "smtpd_enforce_tls");
    if (!level.wrapper && *name != '\0') { /* then the older forms say nothing */
        bool is_may = text_equal_nocase(name, "may"), is_none = text_equal_nocase(name, "none");
        level.enforce = text_equal_nocase(name, "encrypt") || text_equal_nocase(name, "verify") ||
                        text_equal_nocase(name, "secure") || text_equal_nocase(name, "fingerprint");
        level.use = is_may || level.enforce;
        level.is_invalid = !level.use && !is_none;
    }
    level.enforce = level.enforce || level.wrapper;
    level.use = level.use || level.enforce;
    level.auth_only = level.enforce || config_bool(config, "smtpd_tls_auth_only");
    return level;
}
