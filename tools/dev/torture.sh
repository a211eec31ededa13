#!/usr/bin/env bash
# Summary: move tenants under fire, and judge what clients saw
#
# usage: ./dev torture [--runs N] [--seed N] [--rows N] [--pair SOURCE:TARGET] [--fault WORDS]
#                      [--bug NAME] [--bugs] [--seconds N] [--preset PRESET]
#
# Each run moves a tenant between two homes (of any tier, in one of two PostgreSQL clusters or two SQLite
# stores, also within one) while clients write through two servers, and one thing goes wrong: a mover is
# killed or stopped at a named step, a server or a database dies or freezes, connections are cut or slow,
# a new version of the schema comes. 300 runs unless told otherwise, about four seconds each;
# --runs 0 is every pair of homes with every fault, some 9,400 runs and half a day. --bugs: the mover gets each of its seeded bugs instead, and must be found out.
# What a failed run leaves is in build/PRESET/torture.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if wants_help "$@"; then
    usage "${BASH_SOURCE[0]}"
    exit 0
fi
preset=debug
arguments=()
while (($#)); do
    case $1 in
    --preset)
        preset=${2:?--preset needs a name}
        shift
        ;;
    --preset=*) preset=${1#*=} ;;
    *) arguments+=("$1") ;;
    esac
    shift
done
check_preset "$preset"
[[ $preset != release ]] || die "torture: release builds have no crash points; take another preset"
need build test
need_venv
build_preset "$preset" --target freeholdd freehold-migrator
sanitizer_options "$preset"
export FREEHOLDD="$root/build/$preset/server/freeholdd"
export FREEHOLD_MIGRATOR="$root/build/$preset/server/freehold-migrator"
export FREEHOLD_PROTO="$root/proto"
export FREEHOLD_STUBS="$root/build/$preset/tests/torture/stubs"
export FREEHOLD_TORTURE_KEEP="$root/build/$preset/torture"
exec "$venv/bin/python" -B tests/torture/torture.py --source "$root" "${arguments[@]}"
