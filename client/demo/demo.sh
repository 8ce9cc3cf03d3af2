#!/bin/sh
# Loads real climate data into an embedded database and asks it questions: demo.sh BUILD. In a terminal it ends in the shell.
set -eu
dir=build/demo
mkdir -p "$dir"
"$1/tessera" "$dir" -X -q -v ON_ERROR_STOP=1 -f client/demo/demo.sql
if [ -t 0 ] && [ -t 1 ]; then
    echo
    echo 'The arrays coads, relief, winds and ocean are there: ask away. \d describes them, \? helps, \q leaves.'
    exec "$1/tessera" "$dir"
fi
