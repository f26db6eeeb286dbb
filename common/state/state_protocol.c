/* SPDX-License-Identifier: ISC */
/* state_protocol: encoding of the questions to `state` and of its answers. Pure; fuzzed. */
#include "common/state/state_protocol.h"

#include <string.h>

static bool is_store_name(struct slice name)
{
    if (name.len == 0 || name.len > STATE_STORE_LIMIT)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!text_is_digit(c) && !(c >= 'a' && c <= 'z') && c != '-' && c != '_')
            return false;
    }
    return true;
}

static bool are_valid_windows(const struct state_question *question)
{
    if (question->window_count == 0 || question->window_count > STATE_WINDOW_LIMIT)
        return false;
    for (unsigned i = 0; i < question->window_count; i++)
        if (question->windows[i].seconds == 0 || question->windows[i].seconds > STATE_WINDOW_LONGEST)
            return false;
    return true;
}

bool state_question_is_valid(enum state_record type, const struct state_question *question)
{
    struct slice key = slice_of(question->key);
    if (!is_store_name(slice_of(question->store)) || key.len == 0 || key.len > STATE_KEY_LIMIT)
        return false;
    if (type == STATE_PUT)
        return question->value.len <= STATE_VALUE_LIMIT && question->lifetime_s > 0;
    return type != STATE_CHARGE || are_valid_windows(question);
}

void state_question_encode(enum state_record type, const struct state_question *question, struct str *out)
{
    ipc_put_text(out, question->store);
    ipc_put_text(out, question->key);
    if (type == STATE_PUT) {
        ipc_put_slice(out, question->value);
        ipc_put_u32(out, question->lifetime_s);
    } else if (type == STATE_CHARGE) {
        ipc_put_u32(out, question->amount);
        ipc_put_u8(out, question->window_count);
        for (unsigned i = 0; i < question->window_count; i++) {
            ipc_put_u32(out, question->windows[i].seconds);
            ipc_put_u32(out, question->windows[i].limit);
        }
    }
}

static void decode_windows(struct ipc_reader *reader, struct state_question *question)
{
    question->amount = ipc_get_u32(reader);
    question->window_count = ipc_get_u8(reader);
    if (question->window_count > STATE_WINDOW_LIMIT) {
        reader->failed = true;
        return;
    }
    for (unsigned i = 0; i < question->window_count; i++) {
        question->windows[i].seconds = ipc_get_u32(reader);
        question->windows[i].limit = ipc_get_u32(reader);
    }
}

bool state_question_decode(enum state_record type, struct slice body, struct arena *arena,
                           struct state_question *question)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *question = (struct state_question){.store = ipc_get_text(&reader, arena)};
    question->key = ipc_get_text(&reader, arena);
    if (type == STATE_PUT) {
        question->value = ipc_get_slice(&reader);
        question->lifetime_s = ipc_get_u32(&reader);
    } else if (type == STATE_CHARGE)
        decode_windows(&reader, question);
    return ipc_reader_finish(&reader) && state_question_is_valid(type, question);
}

void state_value_encode(bool found, struct slice value, struct str *out)
{
    ipc_put_bool(out, found);
    ipc_put_slice(out, value);
}

bool state_value_decode(struct slice body, bool *found, struct slice *value)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *found = ipc_get_bool(&reader);
    *value = ipc_get_slice(&reader);
    return ipc_reader_finish(&reader) && value->len <= STATE_VALUE_LIMIT;
}

void state_counts_encode(uint8_t exceeded, const struct state_window *windows, unsigned count, struct str *out)
{
    ipc_put_u8(out, exceeded);
    for (unsigned i = 0; i < count; i++)
        ipc_put_u32(out, windows[i].count);
}

bool state_counts_decode(struct slice body, uint8_t *exceeded, struct state_window *windows, unsigned count)
{
    struct ipc_reader reader = ipc_reader_of(body);
    *exceeded = ipc_get_u8(&reader);
    for (unsigned i = 0; i < count; i++)
        windows[i].count = ipc_get_u32(&reader);
    return ipc_reader_finish(&reader) && *exceeded <= count;
}

/* --- turns --------------------------------------------------------------------------------------------- */

bool turn_question_is_valid(const struct turn_question *question)
{
    size_t source_len = strlen(question->source);
    return is_store_name(slice_of(question->store)) && source_len > 0 && source_len <= TURN_SOURCE_LIMIT &&
           strlen(question->subject) <= TURN_SUBJECT_LIMIT && question->first_ms <= TURN_LONGEST_MS &&
           question->longest_ms <= TURN_LONGEST_MS && question->window_s > 0 &&
           question->window_s <= STATE_WINDOW_LONGEST && question->outcome <= TURN_SUCCEEDED;
}

void turn_question_encode(const struct turn_question *question, struct str *out)
{
    ipc_put_text(out, question->store);
    ipc_put_text(out, question->source);
    ipc_put_text(out, question->subject);
    ipc_put_u32(out, question->first_ms);
    ipc_put_u32(out, question->longest_ms);
    ipc_put_u32(out, question->window_s);
    ipc_put_bool(out, question->is_known);
    ipc_put_u8(out, question->outcome);
}

bool turn_question_decode(struct slice body, struct arena *arena, struct turn_question *question)
{
    struct ipc_reader reader = ipc_reader_of(body);
    question->store = ipc_get_text(&reader, arena);
    question->source = ipc_get_text(&reader, arena);
    question->subject = ipc_get_text(&reader, arena);
    question->first_ms = ipc_get_u32(&reader);
    question->longest_ms = ipc_get_u32(&reader);
    question->window_s = ipc_get_u32(&reader);
    question->is_known = ipc_get_bool(&reader);
    question->outcome = ipc_get_u8(&reader);
    return ipc_reader_finish(&reader) && turn_question_is_valid(question);
}

void turn_encode(const struct turn *turn, struct str *out)
{
    ipc_put_u8(out, turn->refused_by);
    ipc_put_bool(out, turn->is_known);
    ipc_put_u32(out, turn->wait_ms);
}

bool turn_decode(struct slice body, struct turn *turn)
{
    struct ipc_reader reader = ipc_reader_of(body);
    turn->refused_by = ipc_get_u8(&reader);
    turn->is_known = ipc_get_bool(&reader);
    turn->wait_ms = ipc_get_u32(&reader);
    return ipc_reader_finish(&reader) && turn->refused_by <= TURN_SUBJECT && turn->wait_ms <= TURN_LONGEST_MS;
}
