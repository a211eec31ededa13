#!/usr/bin/env bash
# Summary: build release and measure
#
# usage: ./dev bench [NAME]... [--json FILE] [--plot FILE]
#
# A table of every measurement beside its floor and goal, both of the same run; --json also writes
# an array of {name, unit, value, floor, ratio, goal, better}. A NAME may hold *: "move_*".
# FREEHOLD_BENCH_MOVES (200) is how many moves a pause is measured over, FREEHOLD_BENCH_TIER_MOVES (50) between tiers,
# FREEHOLD_BENCH_HOMES (1000) how many homes a rollout, FREEHOLD_BENCH_TENANTS (100) how many tenants are called at once.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if wants_help "$@"; then
    usage "${BASH_SOURCE[0]}"
    exit 0
fi
[[ -f tests/bench/run.py ]] || die "tests/bench/run.py is missing from this checkout"
need build test
need_venv
build_preset release --target freehold bench_server bench_echo bench_load \
    bench_pace bench_sqlite_floor bench_sqlite_alter bench_spread bench_provision
export FREEHOLD_BUILD="$root/build/release"
exec "$venv/bin/python" tests/bench/run.py "$@"
