/* SPDX-License-Identifier: ISC */
/*
 * counter: counts in sliding windows. A window is cut into 32 slices of time, and what was charged counts until the slice it
 * fell into is a whole window old: never shorter than the window, at most 1/32 longer. So no stretch of time as
 * long as the window ever holds more than the limit. Called for CHARGE and by turnstile; pure. A value that is no counter counts as none.
 */
#include "common/state/counter.h"

#define SLICES 32
#define SLOTS (SLICES + 1) /* the slice that is being filled, and a full window before it */
#define VERSION 1

struct counter {
    uint32_t seconds;
    uint64_t newest; /* number of the newest slice since 1970 */
    uint32_t slots[SLOTS]; /* newest first */
};

struct counters {
    struct counter list[STATE_WINDOW_LIMIT];
    unsigned count;
};

/* Milliseconds of one slice, rounded up: a window must not come out shorter. */
static int64_t slice_ms(uint32_t seconds)
{
    return ((int64_t)seconds * 1000 + SLICES - 1) / SLICES;
}

static uint32_t add(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static void decode(struct slice stored, struct counters *counters)
{
    struct ipc_reader reader = ipc_reader_of(stored);
    counters->count = 0;
    if (ipc_get_u8(&reader) != VERSION)
        return;
    unsigned count = ipc_get_u8(&reader);
    for (unsigned i = 0; i < count && i < STATE_WINDOW_LIMIT; i++) {
        struct counter *counter = &counters->list[i];
        counter->seconds = ipc_get_u32(&reader);
        counter->newest = ipc_get_u64(&reader);
        for (unsigned slot = 0; slot < SLOTS; slot++)
            counter->slots[slot] = ipc_get_u32(&reader);
        if (counter->seconds == 0 || counter->seconds > STATE_WINDOW_LONGEST)
            reader.failed = true;
    }
    if (ipc_reader_finish(&reader) && count <= STATE_WINDOW_LIMIT)
        counters->count = count;
}

static void encode(const struct counters *counters, struct str *value)
{
    ipc_put_u8(value, VERSION);
    ipc_put_u8(value, (uint8_t)counters->count);
    for (unsigned i = 0; i < counters->count; i++) {
        ipc_put_u32(value, counters->list[i].seconds);
        ipc_put_u64(value, counters->list[i].newest);
        for (unsigned slot = 0; slot < SLOTS; slot++)
            ipc_put_u32(value, counters->list[i].slots[slot]);
    }
}

static void slide(struct counter *counter, int64_t now_ms)
{
    uint64_t now = (uint64_t)now_ms / (uint64_t)slice_ms(counter->seconds);
    uint64_t steps = now - counter->newest;
    if (now < counter->newest) {
        if (counter->newest - now <= SLICES) /* the clock was set back a little: as if no time had passed */
            return;
        steps = SLOTS; /* by far: nothing here means anything now */
    }
    for (unsigned slot = SLOTS; slot-- > 0;)
        counter->slots[slot] = slot >= steps ? counter->slots[slot - steps] : 0;
    counter->newest = now;
}

static uint32_t total(const struct counter *counter)
{
    uint32_t sum = 0;
    for (unsigned slot = 0; slot < SLOTS; slot++)
        sum = add(sum, counter->slots[slot]);
    return sum;
}

/* The windows that are asked about first, in their order; then others that still hold something, while there is room. */
static void arrange(const struct counters *old, const struct state_window *windows, unsigned count, int64_t now_ms,
                    struct counters *new)
{
    bool taken[STATE_WINDOW_LIMIT] = {false};
    new->count = count;
    for (unsigned i = 0; i < count; i++) {
        new->list[i] = (struct counter){.seconds = windows[i].seconds};
        for (unsigned j = 0; j < old->count; j++)
            if (old->list[j].seconds == windows[i].seconds) {
                new->list[i] = old->list[j];
                taken[j] = true;
            }
        slide(&new->list[i], now_ms);
    }
    for (unsigned j = 0; j < old->count && new->count < STATE_WINDOW_LIMIT; j++) {
        struct counter other = old->list[j];
        slide(&other, now_ms);
        if (!taken[j] && total(&other) > 0)
            new->list[new->count++] = other;
    }
}

unsigned counter_charge(struct slice stored, int64_t now_ms, uint32_t amount, struct state_window *windows,
                        unsigned count, struct str *value, int64_t *expires_ms)
{
    struct counters old, new;
    unsigned full = 0;
    decode(stored, &old);
    arrange(&old, windows, count, now_ms, &new);
    for (unsigned i = 0; i < count; i++) {
        windows[i].count = total(&new.list[i]);
        if (full == 0 && windows[i].limit > 0 && add(windows[i].count, amount) > windows[i].limit)
            full = i + 1;
    }
    if (full > 0 || amount == 0)
        return full;
    *expires_ms = now_ms;
    for (unsigned i = 0; i < count; i++) {
        struct counter *counter = &new.list[i];
        counter->slots[0] = add(counter->slots[0], amount);
        windows[i].count = add(windows[i].count, amount);
    }
    for (unsigned i = 0; i < new.count; i++) {
        int64_t end = now_ms + slice_ms(new.list[i].seconds) * SLOTS;
        *expires_ms = end > *expires_ms ? end : *expires_ms;
    }
    encode(&new, value);
    return 0;
}
