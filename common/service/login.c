/* SPDX-License-Identifier: ISC */
/* login: what happens before and after somebody tries to log in. Called by the AUTH verb on the session's fiber. */
#include "common/service/service.h"

const char *service_login_begin(struct smtp_session *session UNUSED, const char *method UNUSED)
{
    return NULL;
}

const char *service_login_result(struct smtp_session *session UNUSED, enum login_result result UNUSED,
                                 const char *login UNUSED)
{
    return NULL;
}
