/* SPDX-License-Identifier: ISC */
/*
 * helper_thread: how lookup starts its few threads. Called by host_resolve.c, worker_pool.c and pgsql.c; each of them
 * bounds how many there are, and how long one lives.
 */
#include "common/table/helper_thread.h"

#include <pthread.h>
#include <signal.h>

#define STACK_BYTES (512 * 1024) /* address space; TLS libraries want more than a fiber has */

bool helper_thread_start(void *(*run)(void *arg), void *arg)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&thread, &attributes, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return code == 0;
}
