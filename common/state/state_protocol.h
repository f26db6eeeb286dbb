/* SPDX-License-Identifier: ISC */
/*
 * Records between roles and `state`, the server's small memory: what must outlive a session and a restart but is no
 * mail (address verification, postscreen's allow list, counters of logins). Losing the last second of it is harmless.
 *
 * A store is a name ("verify", "postscreen", "login"); keys and values are bytes of at most STATE_KEY_LIMIT and
 * STATE_VALUE_LIMIT. What has expired is not found.
 */
#ifndef POSTHORN_STATE_STATE_PROTOCOL_H
#define POSTHORN_STATE_STATE_PROTOCOL_H

#include "common/process/ipc_codec.h"

#define STATE_KEY_LIMIT 400
#define STATE_VALUE_LIMIT 4096
#define STATE_WINDOW_LIMIT 4

enum state_record {
    STATE_GET = 1,    /* request {text store, text key}                                   -> {u8 found, bytes value} */
    STATE_PUT = 2,    /* notice  {text store, text key, bytes value, u32 lifetime_s} */
    STATE_DELETE = 3, /* notice  {text store, text key} */
    /* Adds `amount` to the key's count in each window, unless that would exceed a limit (0: none) in one of them; then
     * nothing is added. Windows slide. amount 0 only asks. -> {u8 exceeded: 0, or 1 + index of the window; n * u32 count} */
    STATE_CHARGE = 4, /* request {text store, text key, u32 amount, u8 n, n * {u32 window_s, u32 limit}} */
};

#endif
