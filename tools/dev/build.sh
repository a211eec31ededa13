#!/usr/bin/env bash
# Summary: configure and build a preset (default: debug)
#
# usage: ./dev build [--preset PRESET] [TARGET]...
#
# Presets: debug, release, asan-ubsan, tsan, fuzz. The result is in build/PRESET.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if wants_help "$@"; then
    usage "${BASH_SOURCE[0]}"
    exit 0
fi
preset=debug
targets=()
while (($#)); do
    case $1 in
    --preset)
        preset=${2:?--preset needs a name}
        shift
        ;;
    --preset=*) preset=${1#*=} ;;
    -*) die "build: no option \"$1\"; see ./dev build --help" ;;
    *) targets+=(--target "$1") ;;
    esac
    shift
done
check_preset "$preset"
need build
[[ $preset == fuzz ]] && need fuzz
build_preset "$preset" "${targets[@]}"
