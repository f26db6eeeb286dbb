/* SPDX-License-Identifier: ISC */
/* How deep fibers go: a measure for tests, off unless STACK_WATCH_VARIABLE is in the environment. Used by fiber_stack.c. */
#ifndef POSTHORN_BASE_STACK_WATCH_H
#define POSTHORN_BASE_STACK_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/fiber_stack.h"

/* "1": a warning for each kind of fiber that used more than three quarters of its stack. "all": what each kind used, too. */
#define STACK_WATCH_VARIABLE "POSTHORN_STACK_WATCH"

/* Reads the environment. Stacks are then never used twice, so that what is not zero in one was written by its fiber. */
bool stack_watch_start(void);
void stack_watch_add(struct fiber_stack *stack);
/* Notes what the stack has come to so far; _remove() also, for the last time. */
void stack_watch_look(const struct fiber_stack *stack);
void stack_watch_remove(struct fiber_stack *stack);
/* To the log, by whoever ends a process: no effect when nothing is watched. */
void stack_watch_report(void);
/* The most that fibers of this name used so far, in bytes; 0 for a name that is not known. */
size_t stack_watch_deepest(const char *name);

#endif
