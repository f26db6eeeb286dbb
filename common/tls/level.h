/* SPDX-License-Identifier: ISC */
/* smtpd_tls_security_level, smtpd_tls_wrappermode and the older forms. */
#ifndef POSTHORN_TLS_LEVEL_H
#define POSTHORN_TLS_LEVEL_H

#include "common/config/config.h"

/* smtpd_tls_security_level and its older forms, as they work together. */
struct tls_level {
    bool use;       /* STARTTLS is offered, or every connection is encrypted */
    bool enforce;   /* nothing works without */
    bool wrapper;   /* TLS from the first byte */
    bool auth_only; /* AUTH only inside TLS */
    bool is_invalid; /* smtpd_tls_security_level is no level: fatal for the service */
};
struct tls_level tls_level_of(const struct config *config);

#endif
