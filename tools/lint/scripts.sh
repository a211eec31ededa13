#!/usr/bin/env bash
# Shell scripts of ours are accepted by shellcheck; -x follows what a script sources.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
/usr/bin/python3 "$here/common.py" "$1" shell |
    xargs -0 -r -n 8 -P "$(nproc)" shellcheck -x --source-path=SCRIPTDIR --
