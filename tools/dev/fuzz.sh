#!/usr/bin/env bash
# Summary: run the libFuzzer targets, a minute each
#
# usage: ./dev fuzz [--seconds N] [--seed N] [NAME]...
#
# Without a seed every run takes another way; ./dev test always takes the same one, so that it judges
# the change at hand and not its luck. Run ./dev fuzz for longer to look for what nobody has seen.
# Targets are the fuzz_* programs of tests/fuzz. A run starts from tests/fuzz/corpus/NAME, if there,
# and from what earlier runs found (build/fuzz/corpus/NAME); tests/fuzz/NAME.dict is the dictionary.
# What breaks a target is kept in build/fuzz/artifacts/NAME-*. One target more runs at a time than there
# are processors: five take two minutes on two, where two at a time would leave one idle in a third.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if wants_help "$@"; then
    usage "${BASH_SOURCE[0]}"
    exit 0
fi
seconds=60
seed=0
names=()
while (($#)); do
    case $1 in
    --seconds)
        seconds=${2:?--seconds needs a number}
        shift
        ;;
    --seconds=*) seconds=${1#*=} ;;
    --seed)
        seed=${2:?--seed needs a number}
        shift
        ;;
    --seed=*) seed=${1#*=} ;;
    -*) die "fuzz: no option \"$1\"; see ./dev fuzz --help" ;;
    *) names+=("${1#fuzz_}") ;;
    esac
    shift
done
[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "--seconds needs a positive number"
[[ $seed =~ ^[0-9]+$ ]] || die "--seed needs a number; 0 chooses one"
need build fuzz
build_preset fuzz --target fuzz_targets
sanitizer_options fuzz

mapfile -t targets < <(find build/fuzz/tests/fuzz -maxdepth 1 -type f -name 'fuzz_*' -perm -u+x \
    -printf '%f\n' 2>/dev/null | sed 's/^fuzz_//' | sort)
for name in "${names[@]}"; do
    [[ " ${targets[*]} " == *" $name "* ]] ||
        die "no fuzz target \"$name\"; there are: ${targets[*]:-none}"
done
((${#names[@]})) || names=("${targets[@]}")
mkdir -p build/fuzz/artifacts build/fuzz/logs

# fuzz_one NAME: a target that ran no input at all has not passed.
fuzz_one() {
    local name=$1 log=build/fuzz/logs/$1.log status=0 runs
    local options=() seeds=("build/fuzz/corpus/$1")
    mkdir -p "${seeds[0]}"
    [[ -d tests/fuzz/corpus/$name ]] && seeds+=("tests/fuzz/corpus/$name")
    [[ -f tests/fuzz/$name.dict ]] && options+=("-dict=tests/fuzz/$name.dict")
    "build/fuzz/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -seed="$seed" -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="build/fuzz/artifacts/$name-" \
        "${options[@]}" "${seeds[@]}" >"$log" 2>&1 || status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
    if ((status == 0 && ${runs:-0} > 0)); then
        printf 'ok    fuzz %-20s %s runs\n' "$name" "$runs"
        return 0
    fi
    printf 'FAIL  fuzz %-20s status %s, log in %s:\n' "$name" "$status" "$log"
    tail -n 40 "$log"
    return 1
}

passed=0
failed=0
pids=()
reap() {
    if wait "$1"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
}
trap '((${#pids[@]})) && kill "${pids[@]}" 2>/dev/null' EXIT
for name in "${names[@]}"; do
    fuzz_one "$name" &
    pids+=("$!")
    if ((${#pids[@]} > jobs)); then
        reap "${pids[0]}"
        pids=("${pids[@]:1}")
    fi
done
for pid in "${pids[@]}"; do
    reap "$pid"
done
pids=()
trap - EXIT
printf '%s\n' "$passed passed, $failed failed"
((failed == 0))
