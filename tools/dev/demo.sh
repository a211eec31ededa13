#!/usr/bin/env bash
# Summary: build and show Freehold at work on real data, in under three minutes
#
# usage: ./dev demo [--postgres] [--keep]
#
# Starts the server in a temporary directory, makes tenants out of this machine's Debian package
# index, shows that none reaches another's records, and moves the largest to another store while
# clients write and read it. --postgres: on a throw-away PostgreSQL cluster; the largest tenant begins
# on SQLite and moves there. --keep: leave it running and say where. Nothing else is left behind.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if wants_help "$@"; then
    usage "${BASH_SOURCE[0]}"
    exit 0
fi
[[ -f tools/demo/demo.sh ]] || die "tools/demo/demo.sh is missing from this checkout"
need build
for argument in "$@"; do
    [[ $argument == --postgres ]] && need test
done
build_preset release --target freeholdd freehold bench_pace
export FREEHOLD_BUILD="$root/build/release"
exec bash tools/demo/demo.sh "$@"
