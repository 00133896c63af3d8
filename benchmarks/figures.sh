#!/usr/bin/env bash
# Prints every figure of the README and docs/performance.md again, each under its command. Takes about an hour, most of it recorded waiting.
#   benchmarks/figures.sh [--short]      --short: each command at its smallest size, to see that it runs
# What needs python3, ../shared or a package that cannot be had says so and is left out.
set -euo pipefail
cd "$(dirname "$0")/.."
short=; [ "${1:-}" = --short ] && short=1
if [ -z "${LACON:-}" ]; then
  cargo build --release --quiet --locked
  LACON="${CARGO_TARGET_DIR:-$PWD/target}/release/lacon"
fi
export LACON
run() { # the command, then the short one, or what makes it short
  local command="$1" small="$2"
  printf '\n$ %s\n' "$command"
  if [ -n "$short" ]; then case "$small" in "lacon "*) command="$small" ;; *) command="$command $small" ;; esac; fi
  # shellcheck disable=SC2086  # the words of the line are its arguments
  case "$command" in
    "lacon "*) "$LACON" ${command#lacon } ;;
    *) $command ;;
  esac
}
run "benchmarks/referee.sh" --check
run "benchmarks/referee.sh --faults" --check
run "benchmarks/referee.sh --overshoot 1.6 --names 1" --check
run "benchmarks/referee.sh --replay" --check
run "benchmarks/referee.sh --optimizations" --check
run "lacon bench run --runs 1" "--time-scale 0"
run "lacon bench run" "--runs 3 --time-scale 0"
run "lacon bench run --runs 1000 --time-scale 0.2" "lacon bench run --runs 4 --time-scale 0"
run "lacon bench run --monitor-cost" "--runs 2 --rounds 1 --time-scale 0"
run "lacon bench graph" "--nodes 100 --rounds 1"
run "benchmarks/graph.sh" --check
run "lacon bench indicators" "--bars 2000 --rounds 1"
run "lacon bench prompts" "--rounds 1"
run "lacon bench trace" "--spans 800 --rounds 1"
run "lacon verify --gate" "--runs 1"
# Rivals in other languages are built and fetched first; without them the table holds our rows alone.
rivals=()
if [ -z "$short" ]; then
  folder="${TMPDIR:-/tmp}/lacon-rivals"
  if benchmarks/rivals/prepare.sh "$folder"; then
    for program in crates pypi; do [ ! -x "$folder/$program" ] || rivals+=(--rivals "$folder/$program"); done
  else
    echo "left out: the rivals of lacon bench tokens"
  fi
fi
run "lacon bench tokens ${rivals[*]:-}" "--rounds 1 --megabytes 1"
