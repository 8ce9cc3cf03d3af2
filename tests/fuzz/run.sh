#!/bin/sh
# Fuzzes one target: run.sh parse|protocol|tile|files [SECONDS]. Without SECONDS about a quarter of a minute's inputs, always the same ones (of
# files and protocol, nearly: what those do hangs on clocks and names too). With them it goes on from all that earlier runs found, elsewhere each time.
set -u
target=$1
case $target in
parse) runs=150000 ;;
protocol) runs=700 ;;
tile) runs=2500000 ;;
files) runs=250000 ;;
esac
corpus=build/fuzz/corpus-$target
if [ $# -gt 1 ]; then
    set -- build/fuzz/fuzz_"$target" -max_total_time="$2" -timeout=10
else
    corpus=build/fuzz/fixed-$target
    rm -rf "$corpus"
    set -- setarch -R build/fuzz/fuzz_"$target" -runs=$runs -seed=1 -reload=0 -timeout=120
fi
mkdir -p "$corpus"
seeds=
[ -d tests/fuzz/seeds-"$target" ] && seeds=tests/fuzz/seeds-$target
if "$@" -rss_limit_mb=2048 -close_fd_mask=1 -artifact_prefix=build/fuzz/crash-"$target"- "$corpus" $seeds 2>build/fuzz/"$target".log; then
    grep -E 'stat::|DONE' build/fuzz/"$target".log | tail -1
    echo "1 passed, 0 failed"
else
    tail -40 build/fuzz/"$target".log
    echo "0 passed, 1 failed"
    exit 1
fi
