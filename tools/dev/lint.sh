#!/usr/bin/env bash
# Summary: check format, analysis, includes, sizes, names, scripts and the API
#
# usage: ./dev lint [CHECK]...
#
# Checks (files of tools/lint/; all run, also after a failure):
#   format      clang-format would change nothing
#   tidy        clang-tidy is silent, functions stay under 70 lines (cached under build/lint)
#   includes    adapters keep their libraries, folders their direction of dependency
#   headers     every header compiles alone (cached)
#   size        files stay within 600 lines
#   names       no typedef of a struct, union or enum
#   alloc       the heap is reached through base/alloc.h only
#   text        no left-over marks, no path of one machine, no address in the lock files
#   scripts     shellcheck accepts our shell scripts
#   buf         the .proto files
#   selftest    every check above still refuses what it is there to refuse
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if wants_help "$@"; then
    usage "${BASH_SOURCE[0]}"
    exit 0
fi
all=(format includes headers size names alloc text scripts buf tidy selftest)
checks=("$@")
((${#checks[@]})) || checks=("${all[@]}")
for check in "${checks[@]}"; do
    [[ " ${all[*]} " == *" $check "* ]] || die "no check \"$check\"; there are: ${all[*]}"
done
need build lint
need_buf

mkdir -p build/lint
lines=()
status=0

# timed NAME COMMAND...: runs a check; what it says is shown only when it refuses.
timed() {
    local name=$1 out=build/lint/$1.out verdict=ok from to
    shift
    from=$(date +%s%N)
    if ! "$@" >"$out" 2>&1; then
        verdict=FAIL
        status=1
        cat "$out"
    fi
    to=$(date +%s%N)
    lines+=("$(printf '%-5s %-11s %6d.%d s' "$verdict" "$name" \
        $(((to - from) / 1000000000)) $(((to - from) / 100000000 % 10)))")
    echo "${lines[-1]}"
}

# tidy and headers read the generated headers, so there must be a build; a build that fails is a
# failure of its own, and the other checks still speak.
if [[ " ${checks[*]} " =~ \ (tidy|headers)\  ]]; then
    timed build build_preset debug -- -k 0
fi
for check in "${checks[@]}"; do
    script=$(compgen -G "tools/lint/$check.*")
    case $script in
    *.py) timed "$check" "$python" "$script" "$root" ;;
    *) timed "$check" bash "$script" "$root" ;;
    esac
done

if ((status)); then
    printf '\nlint: refused by\n'
    printf '%s\n' "${lines[@]}" | grep '^FAIL'
fi
exit "$status"
