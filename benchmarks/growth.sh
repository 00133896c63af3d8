#!/usr/bin/env bash
# Instructions of each pass and request path for 1, 2 and 4 MiB of text: `benchmarks/growth.sh [NAME...]`.
#
# Instructions are the same on a busy machine and do not depend on caches. Needs valgrind. About 20 minutes for all rows.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind > /dev/null || { echo "growth: valgrind is absent (Debian: apt-get install valgrind)"; exit 0; }
cargo build --release --quiet -p lacon-prompt --example growth
GROWTH=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/examples/growth

count() { # MiB, name
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$GROWTH" "=$1" "$2" 2>&1 | sed -n 's/.*Collected : //p'
}

if [ $# -gt 0 ]; then names=("$@"); else mapfile -t names < <("$GROWTH" names); fi
printf '%-28s %9s %9s %9s %7s\n' "millions for" "1 MiB" 2 4 ratio
for name in "${names[@]}"; do
    start=$(count 0 "$name")
    one=$(count 1 "$name"); two=$(count 2 "$name"); four=$(count 4 "$name")
    awk -v n="$name" -v s="$start" -v a="$one" -v b="$two" -v c="$four" 'BEGIN {
        a -= s; b -= s; c -= s; r = b / a; if (c / b > r) r = c / b
        printf "%-28s %9.0f %9.0f %9.0f %7.2f%s\n", n, a / 1e6, b / 1e6, c / 1e6, r, (r > 2.2 ? "  above 2.2" : "") }'
done
