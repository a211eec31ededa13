#!/usr/bin/env bash
# buf accepts our .proto files. Run from the tree, so that buf.yaml is the tree's own.
set -euo pipefail
buf=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/node_modules/.bin/buf
cd "$1"
if [[ -z $(find proto -name '*.proto' -print -quit 2>/dev/null) ]]; then
    echo "no .proto file yet"
    exit 0
fi
"$buf" lint
