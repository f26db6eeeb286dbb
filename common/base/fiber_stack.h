/* SPDX-License-Identifier: ISC */
/* The stacks of fibers, and switching between them. Used by fiber.c only. */
#ifndef POSTHORN_BASE_FIBER_STACK_H
#define POSTHORN_BASE_FIBER_STACK_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>

struct fiber_stack {
    void *memory;      /* guard page first, then the usable stack */
    size_t size;       /* of memory, guard page included */
    jmp_buf inside;    /* where the fiber goes on */
    jmp_buf outside;   /* where its caller goes on */
    void (*run)(void *arg);
    void *arg;
    const char *name;
    bool started;
    bool finished;
    unsigned valgrind_id;
    void *fake_stack;         /* AddressSanitizer's, of the fiber */
    void *outer_fake_stack;   /* and of the caller */
    const void *outer_bottom;
    size_t outer_size;
};

void fiber_stack_prepare(struct fiber_stack *stack, size_t usable, void (*run)(void *), void *arg);
/* Runs the fiber until it leaves or its function returns (stack->finished). */
void fiber_stack_enter(struct fiber_stack *stack, const char *name);
/* Back to whoever entered; returns at the next enter. */
void fiber_stack_leave(struct fiber_stack *stack);
/* From inside: gives the memory below the present frame back to the kernel. */
void fiber_stack_trim(struct fiber_stack *stack);
void fiber_stack_release(struct fiber_stack *stack);
/* From now on, how deep stacks are used is measured, if the environment asks for it (stack_watch.h). */
void fiber_stack_watch(void);
bool fiber_stack_is_watched(void);
/* A write below a fiber's stack aborts with the fiber's name instead of a bare SIGSEGV. */
void fiber_stack_install_overflow_handler(void);

#endif
