# shellcheck shell=bash
# Shared by the subcommands of ./dev: packages, the Python environment, configure and build.
# Sourced, never run. Everything made here lands under build/ (and node_modules/ for buf).
set -euo pipefail

root=${FREEHOLD_ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
cd "$root"
# Debian's own interpreter: the one whose venv module `need test` installs.
python=/usr/bin/python3
venv=$root/build/venv
jobs=$(nproc)

# need() reaches the groups by name.
# shellcheck disable=SC2034
{
    packages_build=(
        build-essential cmake ninja-build pkg-config python3 libgrpc-dev libprotobuf-c-dev
        protobuf-c-compiler protobuf-compiler libprotobuf-dev libuv1-dev libpq-dev
        libsqlite3-dev sqlite3 libssl-dev libpg-query-dev libmicrohttpd-dev libjansson-dev
        libcmocka-dev
    )
    packages_model=(gcc libc6-dev python3 spin)
    packages_test=(
        curl postgresql-15 postgresql-client-15 python3-venv python3-dev nghttp2-client valgrind
        redis-server ca-certificates "${packages_model[@]}"
    )
    packages_fuzz=(clang llvm libclang-rt-14-dev)
    packages_lint=(
        "${packages_fuzz[@]}" clang-tidy clang-format shellcheck git ca-certificates
    )
}

say() {
    printf '\n== %s\n' "$*"
}

die() {
    printf './dev: %s\n' "$*" >&2
    exit 1
}

# usage FILE: the comment block under the summary line is the help of a subcommand.
usage() {
    sed -n '/^# Summary: /,/^[^#]/{s/^# Summary: //p;t;/^#/{s/^# \{0,1\}//p}}' "$1"
}

# wants_help ARGUMENTS: `--` ends ours, what follows belongs to the program that is started.
wants_help() {
    local argument
    for argument in "$@"; do
        case $argument in
        --) return 1 ;;
        -h | --help) return 0 ;;
        esac
    done
    return 1
}

as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "packages are missing and neither root nor sudo is at hand; run as root: apt-get install ${missing[*]:-}"
    fi
}

# find_missing PACKAGES: sets `missing`. One dpkg-query for all, so that the usual no-op costs
# some hundredths of a second.
find_missing() {
    local installed package
    installed=" $(dpkg-query -W -f '${db:Status-Status}/${Package} ' "$@" 2>/dev/null || true)"
    missing=()
    for package in "$@"; do
        [[ $installed == *" installed/$package "* ]] || missing+=("$package")
    done
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=600 -q -y install --no-install-recommends "$@"
}

# Debian starts what it installs. We want the programs only: no cluster, no daemon, and no
# setting of the machine changed that was there before us.
install_quietly() (
    guard=/usr/sbin/policy-rc.d
    config=/etc/postgresql-common/createcluster.conf
    if [[ ! -e $guard ]]; then
        # In a subshell, so that the guard goes also when the installation is interrupted.
        trap 'as_root rm -f "$guard"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$guard" >/dev/null
        as_root chmod 755 "$guard"
    fi
    if [[ " $* " == *" postgresql-15 "* && ! -e $config ]]; then
        apt_install postgresql-common
        as_root sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' "$config"
    fi
    apt_install "$@"
    if [[ " $* " == *" redis-server "* && -d /run/systemd/system ]]; then
        as_root systemctl -q disable redis-server || true
    fi
)

# need GROUP...: installs what dpkg says is missing of the groups build, model, test, lint, fuzz.
need() {
    local group wanted=()
    for group in "$@"; do
        local -n of_group="packages_$group"
        wanted+=("${of_group[@]}")
        # Node may have come from elsewhere; two of them on one machine is asking for trouble.
        if [[ $group == lint ]]; then
            command -v node >/dev/null || wanted+=(nodejs)
            command -v npm >/dev/null || wanted+=(npm)
        fi
    done
    find_missing "${wanted[@]}"
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null ||
        die "this is not Debian; install what corresponds to: ${missing[*]}"
    say "installing ${#missing[@]} packages: ${missing[*]}"
    # A machine without package lists, or with old ones, cannot install; one with good lists need
    # not fetch them again.
    if ! apt-get -s -qq install --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
        [[ -z $(find /var/lib/apt/lists -maxdepth 0 -mtime -1) ]]; then
        as_root apt-get -o DPkg::Lock::Timeout=600 -q update
    fi
    install_quietly "${missing[@]}"
    find_missing "${wanted[@]}"
    ((${#missing[@]} == 0)) || die "still missing after the installation: ${missing[*]}"
}

# need_venv: build/venv holds exactly tests/requirements.txt. The stamp is written last, so an
# interrupted installation is made anew.
need_venv() {
    local wanted stamp=$venv/.requirements
    wanted="$("$python" --version) $(sha256sum <tests/requirements.txt)"
    [[ -x $venv/bin/python && -f $stamp && $(<"$stamp") == "$wanted" ]] && return 0
    say "Python environment (build/venv)"
    mkdir -p build
    (
        flock 9
        [[ -f $stamp && $(<"$stamp") == "$wanted" ]] && exit 0
        rm -rf "$venv"
        "$python" -m venv "$venv"
        "$venv/bin/python" -m pip install -q --no-input --disable-pip-version-check \
            -r tests/requirements.txt
        printf '%s\n' "$wanted" >"$stamp"
    ) 9>build/.venv.lock
}

# need_buf: node_modules holds exactly package-lock.json.
need_buf() {
    local wanted stamp=node_modules/.freehold
    wanted="$(sha256sum <package-lock.json)"
    [[ -x node_modules/.bin/buf && -f $stamp && $(<"$stamp") == "$wanted" ]] && return 0
    say "buf (node_modules)"
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    printf '%s\n' "$wanted" >"$stamp"
}

presets=(debug release asan-ubsan tsan fuzz)

check_preset() {
    [[ " ${presets[*]} " == *" $1 "* ]] || die "no preset \"$1\"; there are: ${presets[*]}"
}

# build_preset PRESET [ARGUMENTS of cmake --build]: one at a time in a build directory, ninja itself
# does not mind a second ninja.
build_preset() {
    local preset=$1 options=()
    shift
    mkdir -p build
    [[ -x $venv/bin/python ]] && options+=("-DFREEHOLD_PYTHON=$venv/bin/python")
    say "build $preset (build/$preset, $jobs jobs)"
    (
        flock -n 9 || {
            echo "waiting for another build of $preset"
            flock 9
        }
        # --no-warn-unused-cli: the interpreter is given also while no folder asks for it.
        cmake --preset "$preset" --no-warn-unused-cli "${options[@]}" >"build/.$preset.configure" 2>&1 || {
            cat "build/.$preset.configure" >&2
            exit 1
        }
        NINJA_STATUS='[%f/%t %es] ' cmake --build "build/$preset" --parallel "$jobs" "$@"
    ) 9>"build/.$preset.lock"
}

# program PRESET NAME: where the build put a program.
program() {
    local found
    found=$(find "build/$1" -type f -name "$2" -perm -u+x -print -quit)
    [[ -n $found ]] || die "the build of $1 made no program \"$2\""
    printf '%s/%s\n' "$root" "$found"
}

# sanitizer_options PRESET: a finding ends the program with a failure; leaks count.
sanitizer_options() {
    local known=$root/tools/sanitizers
    export ASAN_OPTIONS='' LSAN_OPTIONS='' UBSAN_OPTIONS='' TSAN_OPTIONS=''
    case $1 in
    asan-ubsan | fuzz)
        ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1
        ASAN_OPTIONS+=:check_initialization_order=1:strict_init_order=1:detect_odr_violation=2
        LSAN_OPTIONS=suppressions=$known/lsan.supp:print_suppressions=0
        UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
        ;;
    tsan)
        TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:history_size=4
        # Libraries come without instrumentation: TSan sees what they do through its interceptors,
        # but not the atomics that order it, and would report races that are none.
        TSAN_OPTIONS+=:ignore_noninstrumented_modules=1:suppressions=$known/tsan.supp
        ;;
    esac
}
