# SPDX-License-Identifier: ISC
# The steps of ./check. Each step_NAME prints to its log, counts with `passed`, `failed` and `skipped`, and returns
# nothing of interest: a step that dies early must have called `failed` first. Sourced by check after lib.sh.

run_step() {
    step_passed=0 step_failed=0 step_skipped=0 step_note=
    started=$(seconds_now)
    step_log="$logs/$1.log"
    printf '%-12s' "$1"
    "step_$1" >"$step_log" 2>&1
    printf '%5s passed %3s failed %3s skipped  %4s s%s\n' "$step_passed" "$step_failed" "$step_skipped" \
        "$(($(seconds_now) - started))" "$step_note"
    if [ "$step_failed" != 0 ]; then
        grep -E '^(FAILED|ERROR|FAIL:|not ok|failed:)' "$step_log" | head -n 20 | sed 's/^/    /'
        say "    see build/check/$1.log"
    fi
    total_passed=$((total_passed + step_passed))
    total_failed=$((total_failed + step_failed))
    total_skipped=$((total_skipped + step_skipped))
}

passed() { step_passed=$((step_passed + ${1:-1})); }
skipped() { step_skipped=$((step_skipped + ${1:-1})); }
failed() { # WHAT...
    step_failed=$((step_failed + 1))
    say "failed: $*"
}

# expect WHAT COMMAND...: one test that is a command.
expect() {
    what=$1
    shift
    if "$@"; then passed; else failed "$what"; fi
}

# build NAME [configure options]: one test that is a build without a warning; then the unit tests.
build() {
    name=$1
    shift
    if build_tree "$ROOT/build/$name" --prefix="$ROOT/build/$name/inst" --enable-werror "$@"; then
        passed
    else
        tail -n 40 "$ROOT/build/$name/build.log"
        failed "build $name"
        return 1
    fi
}

# unit NAME: make check; counts the single tests that cmocka reports in each program's log.
unit() {
    make -C "$ROOT/build/$1" check -j"$(nproc)" >"$ROOT/build/$1/check.log" 2>&1
    make_status=$?
    for log in "$ROOT/build/$1"/tests/unit/*.log; do
        [ -f "$log" ] || continue
        in_log=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test(s).*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
        failing=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test(s).*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
        waiting=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) test(s).*/\1/p' "$log" | awk '{ n += $1 } END { print n + 0 }')
        passed "$in_log"
        skipped "$waiting"
        # A program that crashed reports no counts at all.
        if [ "$failing" != 0 ] || ! grep -q '^PASS' "${log%.log}.trs" 2>/dev/null && grep -q 'FAIL\|ERROR' "${log%.log}.trs"; then
            cat "$log"
            failed "unit test ${log##*/} ($1)"
        fi
    done
    [ "$make_status" = 0 ] || [ "$step_failed" != 0 ] || failed "make check ($1), see build/$1/check.log"
}

# --- the steps --------------------------------------------------------------------------------------------

step_style() {
    expect "house rules (tools/style.sh)" "$ROOT/tools/style.sh"
    expect "shell syntax" sh -c 'for f in demo check tools/*.sh; do sh -n "$f" || exit 1; done'
}

# With all optional tables; the other compiler checks that nothing needs them.
step_gcc() { build normal --with-mysql --with-ldap && unit normal && expect "make install" install_tree "$ROOT/build/normal"; }

step_clang() { build clang CC=clang && unit clang; }

step_sanitizers() {
    export ASAN_OPTIONS=detect_stack_use_after_return=0:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1
    build sanitizers --enable-sanitizers --with-mysql --with-ldap && unit sanitizers &&
        expect "make install" install_tree "$ROOT/build/sanitizers"
}

step_fuzz() {
    build fuzz CC=clang --enable-fuzzers --enable-sanitizers --with-mysql --with-ldap || return
    "$ROOT/tests/fuzz/run" "$ROOT/build/fuzz" "${FUZZ_SECONDS:-5}"
    passed "$(grep -c '^ok ' "$step_log")"
    step_failed=$((step_failed + $(grep -c '^not ok' "$step_log")))
    step_note="  (${FUZZ_SECONDS:-5} s a target)"
}

# Every unit test program once more, but for those that valgrind is not the checker for (listed with the reason each; the
# step sanitizers runs all of them).
step_valgrind() {
    [ -f "$ROOT/build/normal/Makefile" ] || build normal --with-mysql --with-ldap || return
    make -C "$ROOT/build/normal" check TESTS= >/dev/null 2>&1
    "$ROOT/tests/unit/valgrind" "$ROOT/build/normal"
    passed "$(grep -c '^ok ' "$step_log")"
    step_failed=$((step_failed + $(grep -c '^not ok ' "$step_log")))
}

step_e2e() {
    [ -x "$ROOT/build/normal/inst/sbin/postfix" ] || { build normal --with-mysql --with-ldap && install_tree "$ROOT/build/normal" || return; }
    if is_root; then
        "$ROOT/tools/postfix-reference.sh" "$ROOT/build/postfix-ref" || say "no reference: its tests are skipped"
    fi
    pytest_run normal
    if [ -x "$ROOT/build/sanitizers/inst/sbin/postfix" ]; then
        pytest_run sanitizers --mta posthorn -m core
    fi
}

MOST_SECOND_TRIES=5

# pytest_run BUILD [options]: three files at a time, since most of a test is waiting. A test that fails gets one more
# try, alone: these tests hold hundreds of conversations with other programs in real time. What passed only then is
# counted as passed and said in the step's line; when more than a few fail, it is no accident.
pytest_run() {
    of_build=$1
    shift
    pytest_once "$of_build" -n 3 --dist loadfile "$@" || return
    passed $((tests - not_passed - not_run))
    skipped "$not_run"
    first_not_passed=$not_passed
    if [ "$first_not_passed" -gt 0 ] && [ "$first_not_passed" -le "$MOST_SECOND_TRIES" ]; then
        pytest_once "$of_build" --last-failed --last-failed-no-failures none "$@" || return
        passed $((first_not_passed - not_passed))
        [ "$not_passed" = "$first_not_passed" ] ||
            step_note="$step_note  ($((first_not_passed - not_passed)) at the second try, see build/check/e2e.log)"
    fi
    step_failed=$((step_failed + not_passed))
}

# pytest_once BUILD [options]: sets tests, not_passed and not_run. With Debian's interpreter; another one in PATH may lack pytest.
pytest_once() {
    result="$logs/e2e-$1.xml"
    rm -f "$result"
    of_build=$1
    shift
    POSTHORN_BUILD="$ROOT/build/$of_build" /usr/bin/python3 -m pytest "$ROOT/tests/e2e" --junitxml "$result" \
        -o cache_dir="$logs/pytest-$of_build" "$@"
    counts=$(sed -n 's/.*<testsuite [^>]*errors="\([0-9]*\)" failures="\([0-9]*\)" skipped="\([0-9]*\)" tests="\([0-9]*\)".*/\1 \2 \3 \4/p' "$result" 2>/dev/null)
    if [ -z "$counts" ]; then
        failed "pytest on build/$of_build did not finish"
        return 1
    fi
    set -- $counts
    not_passed=$(($1 + $2)) not_run=$3 tests=$4
}

step_demo() {
    expect "./demo --once" ./demo --once
    expect "./demo --once --full" ./demo --once --full
    if ! is_root; then return; fi
    # The same as an ordinary user, in a tree of its own that this user may write to.
    tree=$(mktemp -d /tmp/posthorn-demo.XXXXXX)
    tar --exclude=./.git --exclude=./build --exclude=./demo.d --exclude=./autom4te.cache -cf - . | tar -xf - -C "$tree"
    chown -R nobody: "$tree"
    expect "./demo --once as an ordinary user" as_nobody "$tree" ./demo --once
    expect "./demo --once --full as an ordinary user" as_nobody "$tree" ./demo --once --full
    expect "unit tests as an ordinary user" units_as_nobody "$tree"
    rm -rf "$tree"
}

as_nobody() { # DIRECTORY COMMAND...
    directory=$1
    shift
    (cd "$directory" && HOME="$directory" setpriv --reuid=nobody --regid="$(id -gn nobody)" --clear-groups "$@")
}

# The programs that step gcc made: what only root can do would not be noticed there.
units_as_nobody() { # TREE
    [ -x "$ROOT/build/normal/tests/unit/test_text" ] || { build normal --with-mysql --with-ldap && unit normal || return 1; }
    mkdir -p "$1/build/normal/tests"
    cp -a "$ROOT/build/normal/tests/unit" "$1/build/normal/tests/"
    chown -R nobody: "$1/build"
    units_status=0
    for program in "$1"/build/normal/tests/unit/test_*; do
        case "$program" in *.o | *.log | *.trs) continue ;; esac
        [ -x "$program" ] && [ -f "$program" ] || continue
        as_nobody "$1/build/normal" env srcdir="$1" timeout 120 "$program" ||
            { say "FAILED as an ordinary user: ${program##*/}"; units_status=1; }
    done
    return "$units_status"
}

step_dist() {
    [ -f "$ROOT/build/normal/Makefile" ] || build normal --with-mysql --with-ldap || return
    expect "make distcheck" make -C "$ROOT/build/normal" distcheck -j"$(nproc)"
}
