#!/bin/sh
# Runs every test and adds up: the last line is "N passed, N failed". Called by make check, from the top of the tree, with
# everything built. Each step's output goes to build/check/<step>.log and is shown when the step fails.
set -u
rm -rf build/check
mkdir -p build/check

# step NAME COMMAND…: the command's own last "N passed, N failed" (or cmocka's lines) is written down to be summed.
step() {
    name=$1
    shift
    log=build/check/$name.log
    start=$(date +%s)
    if "$@" >"$log" 2>&1; then status=0; else status=$?; fi
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -1)
    if [ -n "$line" ]; then
        p=${line%% passed*} f=${line##*passed, } f=${f%% failed*}
    else
        p=$(grep -cE '^\[ +OK +\]' "$log") f=$(grep -oE '^\[ +FAILED +\] [a-z_0-9]+$' "$log" | sort -u | wc -l)
    fi
    [ "$status" -ne 0 ] && [ "$f" -eq 0 ] && f=1
    echo "$p $f" >"build/check/$name.sum"
    printf '%-34s %6d passed %4d failed  %4d s\n' "$name" "$p" "$f" $(($(date +%s) - start))
    [ "$f" -eq 0 ] || tail -25 "$log"
}

unit() { # MODE: every unit test built in it
    for t in build/"$1"/unit/test_*; do
        [ -x "$t" ] && case $t in *.d) ;; *) step "$1-${t##*/test_}" "$t" ;; esac
    done
}

py=build/venv/bin/python
files=$(ls tests/sql/*.test)

units() {
    unit asan
    unit tsan
    step sql-asan build/asan/sql-runner --set memory_limit=256MB $files
    for f in parse protocol tile files; do
        step "fuzz-$f" sh tests/fuzz/run.sh "$f"
    done
}

queries() {
    step sql-one-worker build/release/sql-runner --set workers=1 --set tile_cache=off $files
    step sql-four-workers build/release/sql-runner --set workers=4 --set memory_limit=64MB $files
    step sql-plain-plans build/release/sql-runner --set optimizer=off $files
    step sql-tiny-tiles build/release/sql-runner --set tile_size=512B --set workers=4 $files
    step sql-server build/release/sql-runner --server build/release/tesserad $files
    for t in tests/oracle/*_test.py tests/clients/*_test.py; do
        step "$(basename "$t" .py)" $py "$t"
    done
    step risk $py tests/bench/risk.py --small --quiet
    step bad-input $py tests/bad_input.py
}

step layering sh tests/layering.sh
step config sh -c 'build/release/tesserad --print-config | diff - conf/tessera.conf && echo "1 passed, 0 failed"'
# Side by side: neither measures anything.
units &
queries
wait
step memory $py tests/memory.py 64
step crash-200 $py tests/crash/crash.py 200
step crash-schedules $py tests/crash/schedules.py 60
step crash-refresh $py tests/crash/refresh.py 60

awk '{ passed += $1; failed += $2 } END { print passed " passed, " failed " failed"; exit failed > 0 }' build/check/*.sum
