/* SPDX-License-Identifier: ISC */
/*
 * queue_id: names of messages, in the two forms that log readers know.
 * Short: %05X of the microsecond and %X of the serial. Long: base 52 of seconds (6 digits at least) and
 * microseconds (4), "z", base 51 of the serial, so that no vowel spells a word and 'z' ends the time.
 */
#include <inttypes.h>
#include <stdio.h>

#include "common/mail/queue_protocol.h"

#define SERIAL_BASE 51

/* No vowels: 10 digits, 21 upper, 21 lower; 'z' is left for the separator in base 51. */
static const char digits52[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";

static void append_base(char **at, char *end, uint64_t number, unsigned base, unsigned min_digits)
{
    char reversed[20];
    unsigned count = 0;
    do {
        reversed[count++] = digits52[number % base];
        number /= base;
    } while (number > 0 && count < sizeof reversed);
    while (count < min_digits)
        reversed[count++] = digits52[0];
    while (count > 0 && *at < end)
        *(*at)++ = reversed[--count];
    **at = '\0';
}

void queue_id_make(char queue_id[QUEUE_ID_SIZE], int64_t arrival_us, uint32_t serial, bool long_form)
{
    uint64_t micros = (uint64_t)arrival_us % 1000000;
    if (!long_form) {
        snprintf(queue_id, QUEUE_ID_SIZE, "%05" PRIX64 "%05" PRIX32, micros, serial);
        return;
    }
    char *at = queue_id;
    char *end = queue_id + QUEUE_ID_SIZE - 1;
    append_base(&at, end, (uint64_t)arrival_us / 1000000, 52, 6);
    append_base(&at, end, micros, 52, 4);
    *at++ = 'z';
    append_base(&at, end, serial, SERIAL_BASE, 1);
}

static bool serial_from_hex(struct slice text, uint32_t *serial)
{
    uint64_t value = 0;
    if (text.len < 6 || text.len > 13)
        return false;
    for (size_t i = 5; i < text.len; i++) {
        char c = text.data[i];
        if (!text_is_digit(c) && !(c >= 'A' && c <= 'F'))
            return false;
        value = value * 16 + (uint64_t)(text_is_digit(c) ? c - '0' : c - 'A' + 10);
    }
    *serial = (uint32_t)value;
    return true;
}

bool queue_id_serial(struct slice queue_id, uint32_t *serial)
{
    uint64_t value = 0;
    const char *mark = queue_id.len > 0 ? memrchr(queue_id.data, 'z', queue_id.len) : NULL;
    if (mark == NULL || mark - queue_id.data < 10)
        return serial_from_hex(queue_id, serial);
    struct slice text = slice_skip(queue_id, (size_t)(mark - queue_id.data) + 1);
    if (text.len == 0 || text.len > 6)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = memchr(digits52, text.data[i], SERIAL_BASE);
        if (digit == NULL)
            return false;
        value = value * SERIAL_BASE + (uint64_t)(digit - digits52);
    }
    *serial = (uint32_t)value;
    return value <= UINT32_MAX;
}
