/* SPDX-License-Identifier: ISC */
/* Threads for what a library can only do by blocking: a host name's addresses, a query, the end of a query. */
#ifndef POSTHORN_TABLE_HELPER_THREAD_H
#define POSTHORN_TABLE_HELPER_THREAD_H

#include <stdbool.h>

#include "common/base/status.h"

/*
 * Runs run(arg) on a detached thread of its own, with all signals left to the loop's thread. False when none can be
 * started. Needs RIGHT_THREADS. What runs there logs nothing and touches no fiber.
 */
bool helper_thread_start(void *(*run)(void *arg), void *arg) MUST_CHECK;

#endif
