#!/usr/bin/env bash
# Summary: build, then run the server with the given arguments
#
# usage: ./dev run [--preset PRESET] [--] [ARGUMENTS of freeholdd]
#
# Default preset: debug. ./dev run -- --help shows the server's own options.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if wants_help "$@"; then
    usage "${BASH_SOURCE[0]}"
    exit 0
fi
preset=debug
if [[ ${1:-} == --preset ]]; then
    preset=${2:?--preset needs a name}
    shift 2
elif [[ ${1:-} == --preset=* ]]; then
    preset=${1#*=}
    shift
fi
[[ ${1:-} == -- ]] && shift
check_preset "$preset"
need build
[[ $preset == fuzz ]] && need fuzz
build_preset "$preset" --target freeholdd freehold
sanitizer_options "$preset"
server=$(program "$preset" freeholdd)
exec "$server" "$@"
