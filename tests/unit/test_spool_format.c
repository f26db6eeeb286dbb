/* SPDX-License-Identifier: ISC */
/* The spool's file format: frames, segment headers, bodies, and what a scan makes of a damaged segment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/mail/bounce_message.h"
#include "common/mail/control_protocol.h"
#include "common/spool/layout.h"
#include "common/spool/scan.h"

#define SIZE (32u * 1024)
#define GENERATION 7

/* --- frames -------------------------------------------------------------------------------- */

static struct str make_frame(uint32_t serial, struct slice content, struct slice envelope, uint32_t synced_end)
{
    struct frame frame = {.type = FRAME_MESSAGE, .serial = serial, .content_len = content.len, .time_us = 5,
                          .content_hash = frame_hash(content)};
    struct str out = STR_EMPTY;
    unsigned char header[FRAME_HEADER_SIZE];
    static const char padding[8];
    frame_seal(&frame, envelope, header);
    str_append_bytes(&out, header, sizeof header);
    str_append_slice(&out, content);
    str_append_slice(&out, envelope);
    str_append_bytes(&out, padding, frame_size(content.len, envelope.len) - out.len);
    frame_place((unsigned char *)out.data, GENERATION, synced_end, 1234);
    return out;
}

static void a_frame_comes_back_as_it_went(void **state)
{
    struct frame frame;
    struct str bytes = make_frame(42, SLICE("content"), SLICE("envelope"), 9000);
    (void)state;
    assert_int_equal(bytes.len % 8, 0);
    assert_int_equal(frame_parse(str_slice(&bytes), &frame), FRAME_OK);
    assert_int_equal(frame.serial, 42);
    assert_int_equal(frame.generation, GENERATION);
    assert_int_equal(frame.synced_end, 9000);
    assert_int_equal(frame.prior_end, 1234);
    assert_true(slice_equal(frame.content, SLICE("content")));
    assert_true(slice_equal(frame.envelope, SLICE("envelope")));
    str_free(&bytes);
}

/* Every single bit counts, except the padding. */
static void every_damaged_bit_is_noticed(void **state)
{
    struct frame frame;
    struct str bytes = make_frame(42, SLICE("content"), SLICE("envelope"), 9000);
    (void)state;
    for (size_t bit = 0; bit < (FRAME_HEADER_SIZE + 15) * 8; bit++) {
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_not_equal(frame_parse(str_slice(&bytes), &frame), FRAME_OK);
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t len = 0; len < FRAME_HEADER_SIZE + 15; len++)
        assert_int_not_equal(frame_parse(slice_range(bytes.data, len), &frame), FRAME_OK);
    bytes.data[FRAME_HEADER_SIZE] ^= 1;
    assert_int_equal(frame_parse(str_slice(&bytes), &frame), FRAME_BAD_CONTENT);
    str_free(&bytes);
}

static void segment_headers_are_checked(void **state)
{
    unsigned char bytes[SEGMENT_HEADER_SIZE];
    struct segment_header header = {.generation = 3, .serial_limit = 0xfffffff0u, .time_us = 77}, back;
    (void)state;
    segment_header_encode(&header, bytes);
    assert_true(segment_header_decode(bytes, &back));
    assert_int_equal(back.generation, 3);
    assert_int_equal(back.serial_limit, 0xfffffff0u);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_false(segment_header_decode(bytes, &back));
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

static void states_come_back_as_they_went(void **state)
{
    struct recipient_state one = {.index = 3, .dsn = (char *)(uintptr_t)"4.2.0", .reason = (char *)(uintptr_t)"later", .remote_host = (char *)(uintptr_t)"", .diagnostic = (char *)(uintptr_t)"smtp; 450"};
    struct retry_state retry = {.flags = RETRY_EXPIRE, .recipients = &one, .count = 1}, back;
    struct str body = STR_EMPTY, done = STR_EMPTY;
    struct arena *arena = arena_new();
    uint32_t indexes[] = {1, 70000}, *read_back;
    size_t count;
    (void)state;
    retry_state_encode(&retry, &body);
    assert_true(retry_state_decode(str_slice(&body), arena, &back));
    assert_int_equal(back.flags, RETRY_EXPIRE);
    assert_int_equal(back.recipients[0].index, 3);
    assert_string_equal(back.recipients[0].diagnostic, "smtp; 450");
    for (size_t cut = 0; cut < body.len; cut++)
        assert_false(retry_state_decode(slice_range(body.data, cut), arena, &back));
    done_encode(indexes, 2, &done);
    assert_true(done_decode(str_slice(&done), arena, &read_back, &count));
    assert_int_equal(count, 2);
    assert_int_equal(read_back[1], 70000);
    assert_false(done_decode(slice_range(done.data, 7), arena, &read_back, &count));
    arena_free(arena);
    str_free(&body);
    str_free(&done);
}

/* --- scanning ---------------------------------------------------------------------------------------- */

/* Three frames, each synced alone unless said otherwise. */
static void fill(char *segment, uint32_t at[4], bool last_two_together)
{
    memset(segment, 0, SIZE);
    at[0] = SEGMENT_DATA_OFFSET;
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t synced = last_two_together && i == 2 ? at[1] : at[i];
        struct str frame = make_frame(i + 1, SLICE("some content"), SLICE("an envelope"), synced);
        memcpy(segment + at[i], frame.data, frame.len);
        at[i + 1] = at[i] + (uint32_t)frame.len;
        str_free(&frame);
    }
}

static const struct scan_case {
    const char *what;
    int damaged_frame;      /* -1: none */
    bool in_content;
    bool last_two_together; /* one batch, one sync */
    bool known_end;         /* a later segment says where this one ended */
    size_t frames;          /* good ones that count */
    size_t damage;          /* regions that were acknowledged and are damaged */
} scan_cases[] = {
    {"all good", -1, false, false, false, 3, 0},
    {"all good, with a successor", -1, false, false, true, 3, 0},
    {"the first is damaged: others were written after its sync", 0, false, false, false, 2, 1},
    {"its content only", 0, true, false, false, 2, 1},
    {"the last is damaged: it was never acknowledged", 2, false, false, false, 2, 0},
    {"the same, but a successor says it was", 2, false, false, true, 2, 1},
    {"its content only, with a successor", 2, true, false, true, 2, 1},
    {"one batch torn in its first frame: nothing of it counts", 1, false, true, false, 1, 0},
    {"one batch torn in its last frame", 2, true, true, false, 2, 0},
};

static void a_scan_tells_torn_from_damaged(void **state)
{
    char *segment = mem_alloc(SIZE);
    (void)state;
    for (size_t i = 0; i < sizeof scan_cases / sizeof scan_cases[0]; i++) {
        const struct scan_case *one = &scan_cases[i];
        uint32_t at[4];
        struct scan scan;
        size_t frames = 0, damage = 0;
        fill(segment, at, one->last_two_together);
        if (one->damaged_frame >= 0)
            segment[at[one->damaged_frame] + (one->in_content ? FRAME_HEADER_SIZE : 20)] ^= 1;
        segment_scan(slice_range(segment, SIZE), GENERATION, &scan);
        uint32_t end = scan_settle(&scan, one->known_end ? at[3] : 0);
        for (size_t k = 0; k < scan.count; k++) {
            frames += scan.regions[k].kind == SCAN_FRAME;
            damage += scan.regions[k].kind != SCAN_FRAME;
        }
        if (frames != one->frames || damage != one->damage || (one->known_end && end != at[3]))
            fail_msg("%s: %zu frames, %zu damaged", one->what, frames, damage);
        scan_free(&scan);
    }
    free(segment);
}

static void frames_of_an_older_generation_do_not_count(void **state)
{
    char *segment = mem_alloc(SIZE);
    uint32_t at[4];
    struct scan scan;
    (void)state;
    fill(segment, at, false);
    segment_scan(slice_range(segment, SIZE), GENERATION + 1, &scan);
    assert_false(scan.has_frames);
    assert_int_equal(scan_settle(&scan, 0), SEGMENT_DATA_OFFSET);
    assert_int_equal(scan.count, 0);
    scan_free(&scan);
    free(segment);
}

/* --- names and notifications ------------------------------------------------------------------------------ */

static void places_have_their_names(void **state)
{
    char path[SPOOL_PATH_SIZE];
    unsigned number;
    (void)state;
    spool_path(path, PLACE_DEFERRED, "12345ABCDE", 0xABCDE);
    assert_string_equal(path, "deferred/E/12345ABCDE");
    spool_path(path, PLACE_HOLD, "12345ABCDE", 0xABCDE);
    assert_string_equal(path, "hold/12345ABCDE");
    spool_segment_path(path, 17);
    assert_string_equal(path, "incoming/journal.000017");
    assert_true(spool_segment_number("journal.000017", &number) && number == 17);
    static const char *const others[] = {"journal.17", "journal.00001x", "journal.0000017", "12345ABCDE", ""};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(spool_segment_number(others[i], &number));
}

static void a_notification_cannot_be_forged_by_what_it_quotes(void **state)
{
    struct recipient to = {.address = (char *)(uintptr_t)"a@b\r\nX-Evil: 1", .original = (char *)(uintptr_t)"", .dsn_original = (char *)(uintptr_t)"rfc822;x\ny"};
    struct bounce_recipient one = {&to, "5.1.1", "said: 550\nX-Evil: 2", "mail.example[192.0.2.1]", "smtp; 550\r\nX-Evil: 3"};
    struct envelope subject = {.queue_id = "FEDCB54321", .sender = (char *)(uintptr_t)"s@example.org", .dsn_envelope_id = (char *)(uintptr_t)"id\nX-Evil: 4"};
    const struct bounce_text text = {"Mail Delivery System <MAILER-DAEMON@mail.example>", "Undelivered", "us-ascii", "Sorry.\n"};
    struct bounce_message message = {.notice = NOTICE_FAILED, .text = &text, .mail_daemon = "", .queue_id = "ABCDE12345", .to = "s@example.org",
                                     .host_name = "mx.example", .mail_name = "Postfix", .subject = &subject,
                                     .recipients = &one, .recipient_count = 1, .content = SLICE("H: x\n\nbody"),
                                     .headers_only = true};
    struct str out = STR_EMPTY;
    (void)state;
    bounce_message_format(&message, &out);
    assert_null(strstr(str_text(&out), "\nX-Evil"));
    assert_non_null(strstr(str_text(&out), "Content-Type: text/rfc822-headers"));
    assert_null(strstr(str_text(&out), "\nbody"));
    assert_non_null(strstr(str_text(&out), "\n--FEDCB54321.0/mx.example--\n"));
    str_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_comes_back_as_it_went),
        cmocka_unit_test(every_damaged_bit_is_noticed),
        cmocka_unit_test(segment_headers_are_checked),
        cmocka_unit_test(states_come_back_as_they_went),
        cmocka_unit_test(a_scan_tells_torn_from_damaged),
        cmocka_unit_test(frames_of_an_older_generation_do_not_count),
        cmocka_unit_test(places_have_their_names),
        cmocka_unit_test(a_notification_cannot_be_forged_by_what_it_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
