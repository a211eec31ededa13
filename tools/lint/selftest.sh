#!/usr/bin/env bash
# Every check refuses what it is there to refuse, and nothing else.
#
# A file of tests/lint is a case. Its head, up to the first empty line:
#   check: NAME            the check that is run (tools/lint/NAME.*)
#   file: PATH             where the rest of the case stands in the tree
#   expect: TEXT           what the refusal says (a regular expression), or "pass"
# The tree is made anew for every case: a small one that passes all checks, with the case's one file
# added or replaced. So a refusal has one cause.
set -euo pipefail
root=$1
here=$root/tools/lint
python=/usr/bin/python3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# clean_tree DIR
clean_tree() {
    local tree=$1
    mkdir -p "$tree"/{base,stores,proto/freehold/v1,tests,tools,build/debug}
    cp "$root/.clang-format" "$root/.clang-tidy" "$root/buf.yaml" "$root/package-lock.json" "$tree"
    cp "$root/tests/.clang-tidy" "$tree/tests"
    cat >"$tree/base/sum.h" <<'TEXT'
#ifndef FH_BASE_SUM_H
#define FH_BASE_SUM_H

struct fh_sum {
    int total;
};

void fh_sum_add(struct fh_sum *sum, int value);

#endif
TEXT
    cat >"$tree/base/sum.c" <<'TEXT'
#include "base/sum.h"

void fh_sum_add(struct fh_sum *sum, int value)
{
    sum->total += value;
}
TEXT
    cat >"$tree/stores/sum.h" <<'TEXT'
#ifndef FH_STORES_SUM_H
#define FH_STORES_SUM_H

#include "base/sum.h"

int fh_stores_total(const struct fh_sum *sum);

#endif
TEXT
    printf '#!/usr/bin/env bash\nset -eu\necho "$*"\n' >"$tree/tools/say.sh"
    cat >"$tree/proto/freehold/v1/sum.proto" <<'TEXT'
syntax = "proto3";

package freehold.v1;

message Sum {
  int64 total = 1;
}
TEXT
    # The linked copies of headers that the real build offers, so that their findings count too.
    mkdir -p "$tree/build/debug/headers/base/base"
}

# database DIR: the compile database of the C sources that stand there.
database() {
    local tree=$1 source separator=''
    find "$tree/base" -name '*.h' -exec ln -sf -t "$tree/build/debug/headers/base/base" {} +
    {
        echo '['
        while IFS= read -r source; do
            printf '%s{"directory": "%s", "file": "%s", "command": "cc -std=gnu17 -I%s -c %s"}\n' \
                "$separator" "$tree" "$source" "$tree/build/debug/headers/base" "$source"
            separator=,
        done < <(find "$tree/base" "$tree/tests" -name '*.c')
        echo ']'
    } >"$tree/build/debug/compile_commands.json"
}

# check NAME DIR
check() {
    local script
    script=$(compgen -G "$here/$1.*")
    case $script in
    *.py) "$python" "$script" "$2" ;;
    *) bash "$script" "$2" ;;
    esac
}

failed=0
wrong() {
    printf '%s: %s\n' "$1" "$2"
    sed 's/^/    /' "$work/out"
    failed=1
}

checks=(format includes headers size names alloc text scripts buf tidy)
clean_tree "$work/clean"
database "$work/clean"
for name in "${checks[@]}"; do
    check "$name" "$work/clean" >"$work/out" 2>&1 || wrong "$name" "refuses the clean tree"
done

declare -A refused=()
for case in "$root"/tests/lint/*.case; do
    name=$(sed -n 's/^check: //p;/^$/q' "$case")
    file=$(sed -n 's/^file: //p;/^$/q' "$case")
    expect=$(sed -n 's/^expect: //p;/^$/q' "$case")
    tree=$work/case
    rm -rf "$tree"
    clean_tree "$tree"
    mkdir -p "$(dirname "$tree/$file")"
    sed '1,/^$/d' "$case" >"$tree/$file"
    database "$tree"
    leaf=$(basename "$case")
    if check "$name" "$tree" >"$work/out" 2>&1; then
        [[ $expect == pass ]] || wrong "$leaf" "$name accepts the violation"
    elif [[ $expect == pass ]]; then
        wrong "$leaf" "$name refuses what is right"
    elif ! grep -qE -- "$expect" "$work/out"; then
        wrong "$leaf" "$name refuses, but does not say \"$expect\":"
    else
        refused[$name]=1
    fi
done
for name in "${checks[@]}"; do
    [[ -n ${refused[$name]:-} ]] || {
        printf '%s: no case of tests/lint proves it\n' "$name"
        failed=1
    }
done
exit "$failed"
