#!/usr/bin/env bash
# Summary: install everything that building, testing and linting need
#
# usage: ./dev setup [build|test|lint|fuzz]...
#
# Debian packages (only those missing; needs root or sudo only then), the Python environment of
# the tests in build/venv and buf in node_modules. Without an argument: all of it. No service
# is started and no PostgreSQL cluster is created. The other commands call what they need of it
# themselves.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if wants_help "$@"; then
    usage "${BASH_SOURCE[0]}"
    exit 0
fi
groups=("$@")
((${#groups[@]})) || groups=(build test lint fuzz)
for group in "${groups[@]}"; do
    [[ $group =~ ^(build|test|lint|fuzz)$ ]] ||
        die "no group \"$group\"; there are: build test lint fuzz"
done

need "${groups[@]}"
for group in "${groups[@]}"; do
    case $group in
    test) need_venv ;;
    lint) need_buf ;;
    esac
done
echo "ready: ${groups[*]}"
