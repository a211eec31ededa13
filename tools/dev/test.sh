#!/usr/bin/env bash
# Summary: build and run tests: everything, a label, or one test
#
# usage: ./dev test [LABEL|NAME] [--preset PRESET] [--repeat N]
#
# Without an argument: every suite, each beside its time budget:
#   debug          all tests
#   asan-ubsan     all tests, address and undefined-behaviour sanitizers, leaks count; but the models,
#                  which are no program of ours, what makes hundreds of databases, what looks for bugs
#                  that were put in, and whole walks (e2e)
#   tsan           labels unit and conformance, thread sanitizer; PostgreSQL's shared tier only, and not
#                  what has one thread (or the catalog's beside it) from its beginning to its end
#   fuzz           every libFuzzer target for a minute
# LABEL (unit, conformance, integration, ...) runs the tests of that label, NAME one test
# (unit.base.arena) or those that begin with it (unit.base); both in preset debug unless told
# otherwise. "fuzz" runs the fuzz targets. --preset alone: all tests in that preset.
# Label torture holds long forms of tests; they run only when asked for: ./dev test torture. It
# sets FREEHOLD_LONG=1 for them; FREEHOLD_LONG=0 makes them short.
# --repeat N: each test N times, until it fails.
#
# The last line is "N passed, N failed"; the exit status is zero only when nothing failed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# One test more at a time than there are processors: most wait for servers that they started.
tests_at_once=$((jobs + 1))
# Seconds after which one test is ended, when its own TIMEOUT says nothing else.
test_timeout=300
# The budgets are for two cores and a first build; going over is shown, and fails nothing.
declare -A budget=([debug]=840 [asan-ubsan]=1020 [tsan]=600 [fuzz]=480 [release]=420)

selector=
preset=
repeat=1
passed=0
failed=0
rows=()
# What "all tests" leaves out.
ordinary=(-LE '^torture$')

parse() {
    while (($#)); do
        case $1 in
        --preset)
            preset=${2:?--preset needs a name}
            shift
            ;;
        --preset=*) preset=${1#*=} ;;
        --repeat)
            repeat=${2:?--repeat needs a number}
            shift
            ;;
        --repeat=*) repeat=${1#*=} ;;
        -*) die "test: no option \"$1\"; see ./dev test --help" ;;
        *)
            [[ -z $selector ]] || die "test: one label or name at a time"
            selector=$1
            ;;
        esac
        shift
    done
    [[ $repeat =~ ^[1-9][0-9]*$ ]] || die "--repeat needs a positive number"
}

# record NAME VERDICT PASSED FAILED SKIPPED STARTED: one row of the table.
record() {
    local took=$((SECONDS - $6)) limit=${budget[$1]:-0} note=''
    ((took > limit)) && note='over budget'
    passed=$((passed + $3))
    failed=$((failed + $4))
    rows+=("$(printf '%-12s %-5s %7d %7d %8d %7ds %8ds  %s' \
        "$1" "$2" "$3" "$4" "$5" "$took" "$limit" "$note")")
}

# ctest_suite PRESET [ARGUMENTS of ctest]
ctest_suite() {
    local suite=$1 started=$SECONDS xml status=0 counts good bad skipped
    shift
    # A build that fails is one failure: the suite's tests could not speak.
    if ! build_preset "$suite"; then
        record "$suite" FAIL 0 1 0 "$started"
        return 0
    fi
    say "test $suite $*"
    xml=$root/build/$suite/junit.xml
    rm -f "$xml"
    (
        sanitizer_options "$suite"
        ctest --test-dir "build/$suite" --no-tests=error -j"$tests_at_once" --output-on-failure \
            --timeout "$test_timeout" --output-junit "$xml" "$@"
    ) || status=$?
    counts=$("$python" tools/dev/junit.py "$xml") || counts='0 0 0'
    read -r good bad skipped <<<"$counts"
    # ctest is the judge: when it says no without naming a test, that counts as one failure.
    ((status != 0 && bad == 0)) && bad=1
    if ((bad)); then
        record "$suite" FAIL "$good" "$bad" "$skipped" "$started"
    else
        record "$suite" ok "$good" 0 "$skipped" "$started"
    fi
}

fuzz_suite() {
    local started=$SECONDS log=build/.fuzz.out last good=0 bad=1
    if [[ -z $(find tests/fuzz -name 'fuzz_*.c' -print -quit 2>/dev/null) ]]; then
        echo "fuzz: this checkout has no target yet"
        return 0
    fi
    bash tools/dev/fuzz.sh --seed 1 2>&1 | tee "$log" || true
    last=$(tail -n 1 "$log")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        good=${BASH_REMATCH[1]}
        bad=${BASH_REMATCH[2]}
        ((good + bad)) || bad=1
    fi
    if ((bad)); then
        record fuzz FAIL "$good" "$bad" 0 "$started"
    else
        record fuzz ok "$good" 0 0 "$started"
    fi
}

# selected PRESET TEXT: sets `choice` to the ctest arguments for a label or a name.
selected() {
    local build=build/$1 text=$2 escaped tests
    if [[ ! $text =~ ^[A-Za-z0-9_.+-]+$ ]]; then
        die "test: \"$text\" is neither a label nor a name"
    fi
    escaped=${text//./\\.}
    escaped=${escaped//+/\\+}
    if ctest --test-dir "$build" --print-labels | grep -qx "  $escaped"; then
        choice=(-L "^$escaped\$")
        return 0
    fi
    tests=$(ctest --test-dir "$build" -N | sed -n 's/^ *Test *#[0-9]*: //p')
    if grep -qx -- "$escaped" <<<"$tests"; then
        choice=(-R "^$escaped\$")
    elif grep -q -- "^${escaped}[._]" <<<"$tests"; then
        choice=(-R "^${escaped}[._]")
    else
        printf './dev: no label or test "%s"; there are:\n%s\n' "$text" "$tests" >&2
        exit 2
    fi
}

if wants_help "$@"; then
    usage "${BASH_SOURCE[0]}"
    exit 0
fi
parse "$@"
[[ -z $preset ]] || check_preset "$preset"
[[ $selector != torture ]] || export FREEHOLD_LONG=${FREEHOLD_LONG:-1}
need build test
need_venv

if [[ $selector == fuzz || (-z $selector && $preset == fuzz) ]]; then
    need fuzz
    fuzz_suite
elif [[ -n $selector ]]; then
    preset=${preset:-debug}
    build_preset "$preset"
    choice=()
    selected "$preset" "$selector"
    ctest_suite "$preset" "${choice[@]}" --repeat "until-fail:$repeat"
elif [[ -n $preset ]]; then
    ctest_suite "$preset" "${ordinary[@]}" --repeat "until-fail:$repeat"
else
    need fuzz
    ctest_suite debug "${ordinary[@]}" --repeat "until-fail:$repeat"
    ctest_suite asan-ubsan "${ordinary[@]}" \
        -E '^(model\..*|e2e\..*|moves\.seeded_bugs|conformance\.postgresql\.database|integration\.isolation\.layers_pg\.(schema|database)|unit\.migrator\.tiers)$' \
        --repeat "until-fail:$repeat"
    ctest_suite tsan -L '^(unit|conformance)$' \
        -E '^(conformance\.(postgresql\.(schema|database)|pg_ahead|pg_general|(memory|fault)\..*)|unit\.migrator\.(tiers|steps|faults)|unit\.stores_pg\.(engine|faults|erase|schema|move_.*))$' \
        --repeat "until-fail:$repeat"
    fuzz_suite
fi

printf '\n%-12s %-5s %7s %7s %8s %8s %9s\n' suite '' passed failed skipped took budget
((${#rows[@]} == 0)) || printf '%s\n' "${rows[@]}"
printf '\n%s\n' "$passed passed, $failed failed"
((failed == 0 && passed > 0))
