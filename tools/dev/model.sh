#!/usr/bin/env bash
# Summary: check the model of the online move, and that every rule of it is needed
#
# usage: ./dev model [--show] [NAME]...
#
# Runs spin over tests/model: the protocol as it is must hold in every state, and each variant that
# lacks a rule must break the property that tests/model/checks.txt names. Two at a time.
# NAME runs the check called so, else those beginning so: ./dev model copy, ./dev model switch.calloff.
# --show prints the counterexamples as well. What to make of them: tests/model/README.md.
#
# The last line is "N passed, N failed"; the exit status is zero only when nothing failed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if wants_help "$@"; then
    usage "${BASH_SOURCE[0]}"
    exit 0
fi
for argument in "$@"; do
    [[ $argument == --show || $argument =~ ^[a-z][a-z0-9_.]*$ ]] ||
        die "model: no option \"$argument\"; see ./dev model --help"
done
need model

"$python" -B tests/model/transitions.py tests/model/move.pml router/moves.h ||
    die "the phases of tests/model/move.pml and router/moves.h must be the same"
exec "$python" -B tests/model/check.py "$@"
