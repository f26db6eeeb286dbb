/* SPDX-License-Identifier: ISC */
/*
 * fiber_stack: the only file that knows how stacks are made and switched.
 * makecontext() builds the first frame; later switches use _setjmp/_longjmp, which save the same
 * registers without swapcontext's two signal-mask system calls. Each stack has a guard page, is told to
 * AddressSanitizer and valgrind, and goes back to a pool when its fiber ends.
 */
#undef _FORTIFY_SOURCE /* its longjmp refuses to change stacks, which is the very purpose here */
#include "common/base/fiber_stack.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "config.h"
#ifdef HAVE_VALGRIND_VALGRIND_H
#include <valgrind/valgrind.h>
#endif

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/stack_watch.h"

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

#define POOL_LIMIT 64 /* idle stacks kept for the next fibers */

static struct {
    void *stacks[POOL_LIMIT];
    size_t count;
    size_t stack_size;
} pool;

static struct fiber_stack *current; /* for the overflow handler */
static bool is_watched;

/* --- telling the sanitizers -------------------------------------------------- */

static void asan_before_switch(void **save UNUSED, const void *bottom UNUSED, size_t size UNUSED)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(save, bottom, size);
#endif
}

static void asan_after_switch(void *fake UNUSED, const void **bottom UNUSED, size_t *size UNUSED)
{
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(fake, bottom, size);
#endif
}

/* --- memory ------------------------------------------------------------------- */

static size_t page_size(void)
{
    static size_t size;
    if (size == 0)
        size = (size_t)sysconf(_SC_PAGESIZE);
    return size;
}

static void *stack_map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        mem_exhausted(size);
    if (mprotect(memory, page_size(), PROT_NONE) < 0)
        log_fatal("cannot protect a fiber's stack: %s (vm.max_map_count?)", strerror(errno));
    return memory;
}

static void *stack_take(size_t size)
{
    if (pool.count > 0 && pool.stack_size == size)
        return pool.stacks[--pool.count];
    return stack_map(size);
}

static void stack_put_back(void *memory, size_t size)
{
    if (pool.count == 0)
        pool.stack_size = size;
    if (!is_watched && pool.count < POOL_LIMIT && pool.stack_size == size)
        pool.stacks[pool.count++] = memory;
    else
        munmap(memory, size);
}

/* --- switching ------------------------------------------------------------------ */

/* The first function on a new stack. makecontext passes ints only, hence the pointer in two halves. */
static void stack_main(unsigned high, unsigned low)
{
    struct fiber_stack *stack = (struct fiber_stack *)(((uintptr_t)high << 32) | low);
    asan_after_switch(NULL, &stack->outer_bottom, &stack->outer_size);
    stack->run(stack->arg);
    stack->finished = true;
    asan_before_switch(NULL, stack->outer_bottom, stack->outer_size);
    _longjmp(stack->outside, 1);
}

/* The contexts are static because this call never returns: a frame with locals left behind like that
 * would stay poisoned for AddressSanitizer. */
static void stack_start(struct fiber_stack *stack)
{
    static ucontext_t first, unused;
    if (getcontext(&first) < 0)
        log_fatal("getcontext: %s", strerror(errno));
    first.uc_link = NULL;
    first.uc_stack.ss_sp = (char *)stack->memory + page_size();
    first.uc_stack.ss_size = stack->size - page_size();
    uintptr_t self = (uintptr_t)stack;
    makecontext(&first, (void (*)(void))stack_main, 2, (unsigned)(self >> 32), (unsigned)self);
    stack->started = true;
    swapcontext(&unused, &first);
}

void fiber_stack_prepare(struct fiber_stack *stack, size_t usable, void (*run)(void *), void *arg)
{
    size_t page = page_size();
    *stack = (struct fiber_stack){.run = run, .arg = arg};
    stack->size = (usable + page - 1) / page * page + page;
    stack->memory = stack_take(stack->size);
#ifdef FIBER_ASAN /* what only a waiting fiber points to is no leak */
    __lsan_register_root_region((char *)stack->memory + page, stack->size - page);
#endif
    if (is_watched)
        stack_watch_add(stack);
#ifdef HAVE_VALGRIND_VALGRIND_H
    stack->valgrind_id = VALGRIND_STACK_REGISTER((char *)stack->memory + page,
                                                 (char *)stack->memory + stack->size);
#endif
}

void fiber_stack_enter(struct fiber_stack *stack, const char *name)
{
    const void *bottom = (char *)stack->memory + page_size();
    stack->name = name;
    current = stack;
    if (_setjmp(stack->outside) == 0) {
        asan_before_switch(&stack->outer_fake_stack, bottom, stack->size - page_size());
        if (stack->started)
            _longjmp(stack->inside, 1);
        stack_start(stack);
    }
    asan_after_switch(current->outer_fake_stack, NULL, NULL); /* locals may be stale after the jump */
    current = NULL;
}

void fiber_stack_leave(struct fiber_stack *stack)
{
    if (_setjmp(stack->inside) == 0) {
        asan_before_switch(&stack->fake_stack, stack->outer_bottom, stack->outer_size);
        _longjmp(stack->outside, 1);
    }
    asan_after_switch(current->fake_stack, &current->outer_bottom, &current->outer_size);
}

/* Some pages stay: for the red zone, and for what the caller does next. */
void fiber_stack_trim(struct fiber_stack *stack)
{
    enum { KEPT_PAGES = 2 };
    char *bottom = (char *)stack->memory + page_size(), *here = __builtin_frame_address(0);
    uintptr_t end = ((uintptr_t)here & ~(uintptr_t)(page_size() - 1)) - KEPT_PAGES * page_size();
    if (is_watched)
        stack_watch_look(stack);
#ifndef FIBER_ASAN
    if (here > bottom && here < (char *)stack->memory + stack->size && end > (uintptr_t)bottom)
        (void)madvise(bottom, end - (uintptr_t)bottom, MADV_DONTNEED); /* at worst the memory stays */
#else
    (void)end;
    (void)bottom;
#endif
}

void fiber_stack_watch(void)
{
#ifdef HAVE_VALGRIND_VALGRIND_H
    if (RUNNING_ON_VALGRIND)
        return;
#endif
#ifndef FIBER_ASAN /* whose frames are larger */
    is_watched = stack_watch_start();
#endif
}

bool fiber_stack_is_watched(void)
{
    return is_watched;
}

void fiber_stack_release(struct fiber_stack *stack)
{
    if (is_watched)
        stack_watch_remove(stack);
#ifdef HAVE_VALGRIND_VALGRIND_H
    VALGRIND_STACK_DEREGISTER(stack->valgrind_id);
#endif
#ifdef FIBER_ASAN
    __lsan_unregister_root_region((char *)stack->memory + page_size(), stack->size - page_size());
    __asan_unpoison_memory_region((char *)stack->memory + page_size(), stack->size - page_size());
#endif
    stack_put_back(stack->memory, stack->size);
    stack->memory = NULL;
}

/* --- overflow ---------------------------------------------------------------------- */

static void stack_on_fault(int signal_number, siginfo_t *info, void *context UNUSED)
{
    const char *fault = info->si_addr;
    if (current != NULL && fault >= (char *)current->memory &&
        fault < (char *)current->memory + page_size()) {
        static const char before[] = "panic: stack overflow in fiber ";
        if (write(STDERR_FILENO, before, sizeof before - 1) < 0 ||
            write(STDERR_FILENO, current->name, strlen(current->name)) < 0 ||
            write(STDERR_FILENO, "\n", 1) < 0) {
            /* stderr is gone; the abort below still tells */
        }
        log_emergency("panic: stack overflow in fiber ", current->name);
        abort();
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void fiber_stack_install_overflow_handler(void)
{
    static char alternate[16384];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    struct sigaction action = {.sa_sigaction = stack_on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    if (sigaltstack(&stack, NULL) < 0 || sigaction(SIGSEGV, &action, NULL) < 0 ||
        sigaction(SIGBUS, &action, NULL) < 0)
        log_fatal("cannot install the stack overflow handler: %s", strerror(errno));
}
