#!/usr/bin/env bash
# Summary: lay out all C sources as .clang-format says
#
# usage: ./dev format
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if wants_help "$@"; then
    usage "${BASH_SOURCE[0]}"
    exit 0
fi
need lint
(($# == 0)) || die "format: it takes no argument; see ./dev format --help"
exec bash tools/lint/format.sh "$root" --fix
