#!/bin/sh
# Fuzzes one target for so many seconds from its seeds: run.sh parse|protocol|tile|files SECONDS
set -u
target=$1 seconds=$2
corpus=build/fuzz/corpus-$target
mkdir -p "$corpus"
seeds=
[ -d tests/fuzz/seeds-"$target" ] && seeds=tests/fuzz/seeds-$target
if build/fuzz/fuzz_"$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -close_fd_mask=1 \
    -artifact_prefix=build/fuzz/crash-"$target"- "$corpus" $seeds 2>build/fuzz/"$target".log; then
    grep -E 'stat::|DONE' build/fuzz/"$target".log | tail -1
    echo "1 passed, 0 failed"
else
    tail -40 build/fuzz/"$target".log
    echo "0 passed, 1 failed"
    exit 1
fi
