#!/usr/bin/env bash
# What ./dev demo runs after the build: the programs of $FREEHOLD_BUILD on this machine's package index.
set -euo pipefail
exec /usr/bin/python3 "$(dirname "${BASH_SOURCE[0]}")/demo.py" "$@"
