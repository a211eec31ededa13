#!/usr/bin/env bash
# clang-format would change nothing; with --fix after the root: changes it.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# Debian 12's clang-format 14 refuses a whole style file over a key that came with 15; ours says
# the default there, so leaving it out changes nothing.
style=$1/build/lint/clang-format
mkdir -p "$(dirname "$style")"
sed '/^InsertBraces: false$/d' "$1/.clang-format" >"$style"

ours() {
    /usr/bin/python3 "$here/common.py" "$1" c | xargs -0 -r "${@:2}"
}

if [[ ${2:-} == --fix ]]; then
    ours "$1" -n 16 -P "$(nproc)" clang-format "--style=file:$style" -i --
    exit
fi
# One line a file is enough: ./dev format mends it all.
status=0
out=$(ours "$1" clang-format "--style=file:$style" --dry-run -Werror -- 2>&1) || status=$?
awk -F: '/: error: / { if (!seen[$1]++) print; next } /^Error|unknown/ { print }' <<<"$out"
exit "$status"
