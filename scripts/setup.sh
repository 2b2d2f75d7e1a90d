#!/bin/sh
# Makes .venv from requirements.lock, and does nothing when .venv is already what the lock asks for.
#
#   sh scripts/setup.sh            make or refresh .venv (what `make setup`, `make test`, ... call)
#   sh scripts/setup.sh uv ARGS    run uv with the settings this script found to work (`make lock`, `make wheel`)
#
# The machine needs some Python 3.8 or later, or uv; everything else is found or fetched here. Nothing is
# written outside the repository except uv's own cache.
#
# Settings, all optional:
#   SITEWISE_PYTHON=/path/to/python   use this Python for .venv and look for no other
#   SITEWISE_SETUP_OFFLINE=1          download nothing; works when uv's cache holds every package
#   SITEWISE_SETUP_PATH_ONLY=1        look for Python and uv on PATH only, not in the usual other places
#
# Plain POSIX sh: the script has to run before anything can be assumed about the machine.

set -eu

MIN_UV_MINOR=8        # uv 0.8 is the first with every option used below
PREFERRED='13 14 12'  # minor versions of Python 3 that the lock has wheels for, best first

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd "$root"
exec </dev/null # nothing here may wait for an answer

stamp=.venv/.sitewise-setup
unfinished=.tools/setup-unfinished
log=.tools/setup.log

# ---------------------------------------------------------------------------------------------------------
# Is there anything to do?
# ---------------------------------------------------------------------------------------------------------

# Everything that .venv depends on. The path of the repository is part of it because a venv holds absolute
# paths: after the repository has been moved, .venv has to be made anew. cksum, because it is in POSIX and it is
# changes that are looked for, not attacks (the packages themselves are checked against SHA-256 hashes).
fingerprint() {
    printf 'root %s\n' "$root"
    printf 'asked for %s\n' "${SITEWISE_PYTHON:-}"
    .venv/bin/python -I -S -c 'import sys; print("python %d.%d.%d" % sys.version_info[:3])' 2>/dev/null || return 1
    cksum requirements.lock pyproject.toml scripts/setup.sh
}

up_to_date() {
    [ -f "$stamp" ] && [ ! -e "$unfinished" ] && [ "$(fingerprint)" = "$(cat "$stamp")" ]
}

if [ "${1:-}" != uv ] && up_to_date; then
    exit 0
fi

# ---------------------------------------------------------------------------------------------------------
# Environment: settings of the caller that would change the result
# ---------------------------------------------------------------------------------------------------------

# An active venv or conda environment, or a user's defaults for uv, must not decide where packages go.
unset VIRTUAL_ENV CONDA_PREFIX PYTHONHOME PYTHONPATH UV_PYTHON UV_SYSTEM_PYTHON UV_REQUIRE_HASHES 2>/dev/null || :
# With these set, .venv would have no bytecode and each import of PyMC would cost many seconds.
unset PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX 2>/dev/null || :
# pip may be told by its configuration to refuse to run outside a venv or to install for the user; both are
# wrong for a private copy of uv.
export PIP_REQUIRE_VIRTUALENV=0 PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# uv must use the interpreter it is given and not fetch another one behind the user's back.
export UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1

offline=${SITEWISE_SETUP_OFFLINE:-}
[ "$offline" != 0 ] || offline=
[ -z "$offline" ] || export UV_OFFLINE=1
path_only=${SITEWISE_SETUP_PATH_ONLY:-}
home=${HOME:-}

# uv's default cache is shared between projects and so worth keeping; without a usable home directory there is
# none, and the repository has to hold it.
if [ -z "${UV_CACHE_DIR:-}${XDG_CACHE_HOME:-}" ] && { [ ! -d "$home" ] || [ ! -w "$home" ]; }; then
    export UV_CACHE_DIR="$root/.tools/uv-cache"
fi

# Hospital networks often re-sign TLS with a certificate of their own, which the operating system knows and the list
# built into uv and pip does not. So the system's list is used wherever there is one (a bare container has none),
# unless the caller has said which to use.
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem; do
    if [ -r "$bundle" ]; then
        [ -n "${UV_SYSTEM_CERTS:-}${UV_NATIVE_TLS:-}${SSL_CERT_FILE:-}" ] || export UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1
        export REQUESTS_CA_BUNDLE="${REQUESTS_CA_BUNDLE:-$bundle}" # for pip; weaker than pip's own configuration
        break
    fi
done

say() { printf 'setup: %s\n' "$*" >&2; }

# fail MESSAGE: the one message of a failed setup, on as many lines as it has.
fail() {
    printf '\nsetup: %s\n\n' "$1" >&2
    exit 1
}

# log_tail: the end of what the last tool said, indented, for use in a message.
log_tail() { tail -n 6 "$log" 2>/dev/null | cut -c 1-200 | sed 's/^/    /'; }

# ---------------------------------------------------------------------------------------------------------
# Finding Python
# ---------------------------------------------------------------------------------------------------------

# candidates: paths that may be a Python 3, one a line, likeliest first. A name on PATH proves nothing: this
# repository has a .python-version, and a pyenv shim fails here when that version is not installed. So every
# directory on PATH counts (not just the first that has the name), version managers are asked for what they
# really hold, and the caller runs each candidate.
candidates() {
    if [ -n "${SITEWISE_PYTHON:-}" ]; then
        command -v "$SITEWISE_PYTHON" || printf '%s\n' "$SITEWISE_PYTHON"
        return
    fi
    {
        old_ifs=$IFS
        IFS=:
        set -f
        # shellcheck disable=SC2086 # PATH is split at its colons on purpose
        set -- $PATH
        set +f
        IFS=$old_ifs
        for dir; do
            case $dir in
            */shims) # pyenv, asdf, mise: the real interpreters stand beside the shims
                for py in "${dir%/shims}"/versions/3.*/bin/python3 "${dir%/shims}"/installs/python/3.*/bin/python3; do
                    printf '%s\n' "$py"
                done
                ;;
            esac
        done
        for dir; do
            for name in python3.13 python3.14 python3.12 python3 python python3.11 python3.10 python3.9 python3.8; do
                printf '%s\n' "${dir:-.}/$name"
            done
        done
        for py in .tools/python/*/bin/python3; do
            printf '%s\n' "$root/$py"
        done
        if [ -z "$path_only" ]; then
            for py in \
                "${PYENV_ROOT:-$home/.pyenv}"/versions/3.*/bin/python3 \
                "$home"/.local/share/uv/python/*/bin/python3 \
                "$home"/.asdf/installs/python/3.*/bin/python3 \
                "$home"/.local/share/mise/installs/python/3.*/bin/python3 \
                /usr/bin/python3* /usr/local/bin/python3* /opt/homebrew/bin/python3* \
                /Library/Frameworks/Python.framework/Versions/3.*/bin/python3; do
                case $py in
                *-config | *.py) ;; # python3.13-config and the like
                *) printf '%s\n' "$py" ;;
                esac
            done
        fi
    } | while IFS= read -r py; do
        case $py in
        "$root"/.venv/* | "$root"/.venv-wheel/* | "$root"/.tools/uv-env/*) ;; # must not be built from itself
        *) if [ -f "$py" ] && [ -x "$py" ]; then printf '%s\n' "$py"; fi ;;
        esac
    done
}

# probe PYTHON: "MINOR FIT VERSION EXECUTABLE" if it runs, nothing otherwise. FIT is "fit" for an interpreter the
# compiled packages have wheels for (CPython, 64 bits, with the GIL) and that was built with ctypes and ssl. Run from
# the root directory, where no .python-version can mislead a shim. EXECUTABLE is the interpreter itself and not
# the shim or venv through which it was reached.
probe() {
    (cd / && "$1" -I -c '
import os, struct, sys
fit = sys.implementation.name == "cpython" and struct.calcsize("P") == 8 and "t" not in sys.abiflags
try:
    import ctypes, ssl, zlib
except ImportError:
    fit = False
exe = sys.executable
if sys.prefix != sys.base_prefix:
    exe = os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2])
    exe = exe if os.path.exists(exe) else sys._base_executable
if sys.version_info >= (3, 8):
    print(sys.version_info[1], "fit" if fit else "unfit", "%d.%d.%d" % sys.version_info[:3], exe)
') 2>/dev/null || :
}

# find_python: the executable of the best Python for .venv; nothing if there is none.
find_python() {
    candidates | {
        seen='
'
        best='' best_rank=99
        while IFS= read -r py; do
            case $seen in *"
$py
"*) continue ;; esac
            seen="$seen$py
"
            found=$(probe "$py")
            minor=${found%% *} rest=${found#* }
            [ "${rest%% *}" = fit ] || continue
            rank=0
            for wanted in $PREFERRED; do
                rank=$((rank + 1))
                if [ "$minor" = "$wanted" ] && [ "$rank" -lt "$best_rank" ]; then
                    best_rank=$rank
                    best=${rest#fit * }
                fi
            done
            [ "$best_rank" -gt 1 ] || break
        done
        printf '%s' "$best"
    }
}

# any_pythons: every Python 3.8 or later that runs, newest first, as probe describes them.
any_pythons() {
    candidates | while IFS= read -r py; do probe "$py"; done | sort -rn | awk '!seen[$0]++'
}

# ---------------------------------------------------------------------------------------------------------
# Finding uv
# ---------------------------------------------------------------------------------------------------------

# good_uv UV: does it run, and is it recent enough?
good_uv() {
    version=$("$1" --version 2>/dev/null) || return 1
    version=${version#uv } # "uv 0.8.3 (…)"
    major=${version%%.*} minor=${version#*.}
    minor=${minor%%.*}
    case $major$minor in '' | *[!0-9]*) return 1 ;; esac
    [ "$major" -gt 0 ] || [ "$minor" -ge "$MIN_UV_MINOR" ]
}

# find_uv: sets $uv; makes a private copy under .tools when the machine has no uv that will do.
find_uv() {
    uv=$(command -v uv || :)
    if [ -n "$uv" ] && good_uv "$uv"; then return; fi
    if [ -z "$path_only" ]; then
        for uv in "$home/.local/bin/uv" "$home/.cargo/bin/uv"; do
            if [ -x "$uv" ] && good_uv "$uv"; then return; fi
        done
    fi
    for uv in "$root/.tools/uv-env/bin/uv" "$root/.tools/uv-pip/bin/uv"; do
        if [ -x "$uv" ] && good_uv "$uv"; then return; fi
    done

    advice="What to do: check the network connection, or install uv (for example \"pipx install uv\" or \"brew install
uv\"), or give Python its venv module (Debian, Ubuntu: \"sudo apt install python3-venv\"), then run make again."
    if [ -n "$offline" ]; then
        fail "no uv (0.$MIN_UV_MINOR or later) found, and SITEWISE_SETUP_OFFLINE forbids fetching it.
$advice"
    fi
    pythons=$(any_pythons)
    if [ -z "$pythons" ]; then
        fail "neither uv nor a Python that runs (3.8 or later) found: looked for uv, python3, python, python3.8 to
python3.14 on PATH, in the usual system directories and in version managers.
What to do: install Python 3.12 or later (Debian, Ubuntu: \"sudo apt install python3 python3-venv\"; macOS:
\"brew install python@3.13\"; anywhere: \"pyenv install 3.13\") or uv, then run make again."
    fi

    say "fetching uv, which installs the packages, into .tools (about 10 s)"
    mkdir -p .tools
    : >"$log"
    # A failure of venv is one of this Python (Debian ships it without); a failure of pip after that is one of
    # the network, which the next Python would not mend.
    printf '%s\n' "$pythons" >.tools/pythons
    while read -r _ _ _ py; do
        rm -rf .tools/uv-env
        "$py" -m venv .tools/uv-env </dev/null >>"$log" 2>&1 || continue
        uv=$root/.tools/uv-env/bin/uv
        .tools/uv-env/bin/python -m pip install --quiet "uv>=0.$MIN_UV_MINOR" </dev/null >>"$log" 2>&1 || break
        if good_uv "$uv"; then return; fi
    done <.tools/pythons
    rm -rf .tools/uv-env
    while read -r _ _ _ py; do
        "$py" -m pip --version </dev/null >/dev/null 2>&1 || continue
        rm -rf .tools/uv-pip
        uv=$root/.tools/uv-pip/bin/uv
        "$py" -m pip install --quiet --target .tools/uv-pip "uv>=0.$MIN_UV_MINOR" </dev/null >>"$log" 2>&1 || break
        if good_uv "$uv"; then return; fi
    done <.tools/pythons
    rm -rf .tools/uv-pip
    fail "uv is not on this machine and could not be fetched with pip. The last lines of $log:
$(log_tail)
$advice"
}

# ---------------------------------------------------------------------------------------------------------
# One setup at a time
# ---------------------------------------------------------------------------------------------------------

beat=
cleanup() {
    [ -z "$beat" ] || kill -KILL "$beat" 2>/dev/null || :
    [ "$(cat .tools/setup-lock/pid 2>/dev/null)" != "$$" ] || rm -rf .tools/setup-lock
}

# take_lock: `make demo` and `make test` started side by side on a fresh clone must not both write .venv. A lock
# whose owner is gone (killed, machine switched off) is taken over.
take_lock() {
    mkdir -p .tools
    waited=0
    until mkdir .tools/setup-lock 2>/dev/null; do
        owner=$(cat .tools/setup-lock/pid 2>/dev/null || :)
        if [ -n "$owner" ] && kill -0 "$owner" 2>/dev/null; then
            [ "$waited" -ne 0 ] || say "waiting for another setup of this repository (process $owner)"
        elif [ -n "$owner" ] || [ "$waited" -ge 5 ]; then # no owner: it died, or is between mkdir and writing it
            rm -rf .tools/setup-lock
            continue
        fi
        waited=$((waited + 1))
        sleep 1
    done
    echo "$$" >.tools/setup-lock/pid
}

# with_heartbeat COMMAND…: a sign of life every 20 seconds while a long command runs. The sleep is cut off from
# our output: it outlives the kill by some seconds, and whoever reads that output through a pipe should not have
# to wait for it. KILL and not TERM: a TERM that arrives before the new subshell has reset our trap is lost, and the
# wait would never end.
with_heartbeat() {
    (
        elapsed=0
        while sleep 20 >/dev/null 2>&1; do
            elapsed=$((elapsed + 20))
            say "  still at it after $elapsed s"
        done
    ) &
    beat=$!
    status=0
    "$@" || status=$?
    kill -KILL "$beat" 2>/dev/null || :
    wait "$beat" 2>/dev/null || :
    beat=
    return "$status"
}

# ---------------------------------------------------------------------------------------------------------
# The work
# ---------------------------------------------------------------------------------------------------------

if [ "${1:-}" = uv ]; then
    shift
    find_uv
    exec "$uv" "$@"
fi

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
take_lock
if up_to_date; then exit 0; fi # another setup has just done it
started=$(date +%s)

# choose_python: sets $python; fetches one with uv when the machine has none.
choose_python() {
    python=$(find_python)
    if [ -n "$python" ]; then return; fi
    if [ -n "${SITEWISE_PYTHON:-}" ]; then
        fail "SITEWISE_PYTHON=$SITEWISE_PYTHON is not a Python that Sitewise can use: it must run, and be a 64-bit CPython
3.12, 3.13 or 3.14 built with ctypes and ssl.
What to do: set SITEWISE_PYTHON to such a Python, or unset it to have one looked for, then run make again."
    fi
    fetch='SITEWISE_SETUP_OFFLINE forbids fetching one.'
    if [ -z "$offline" ]; then
        find_uv
        say "no Python 3.12 to 3.14 on this machine; fetching 3.13 into .tools/python (about 30 s)"
        # Only under .tools: no link in the user's own bin directory.
        if UV_PYTHON_DOWNLOADS=manual UV_PYTHON_INSTALL_BIN=0 UV_PYTHON_INSTALL_DIR="$root/.tools/python" \
            "$uv" python install 3.13 >"$log" 2>&1; then
            python=$(find_python)
            if [ -n "$python" ]; then return; fi
        fi
        fetch="Fetching one with uv did not work either:
$(log_tail)"
    fi
    others=$(any_pythons | awk '{ line = $3; sub(/^[^ ]+ [^ ]+ [^ ]+ /, ""); print "    " line "  " $0 }')
    fail "no Python that Sitewise can use. It needs a 64-bit CPython 3.12, 3.13 or 3.14. Looked for python3.13,
python3.14, python3.12, python3 and python on PATH, in the usual system directories and in pyenv, asdf, mise and uv.
Found:
${others:-    no Python that runs}
$fetch
What to do: install Python 3.12 or later (Debian, Ubuntu: \"sudo apt install python3.13\"; macOS: \"brew install
python@3.13\"; anywhere: \"pyenv install 3.13\"), then run make again."
}

# Can .venv stay and only be brought into line? Not after an interruption (a half-written package may pass for
# an installed one), nor after a move of the repository, nor if its Python is gone, will not do, or is not the one
# asked for.
reuse=
if [ ! -e "$unfinished" ] && [ -x .venv/bin/python ] && [ -f .venv/pyvenv.cfg ]; then
    if [ ! -f "$stamp" ] || [ "$(sed -n 1p "$stamp")" = "root $root" ]; then
        found=$(probe "$root/.venv/bin/python")
        rest=${found#* }
        case " $PREFERRED " in *" ${found%% *} "*) [ "${rest%% *}" != fit ] || reuse=1 ;; esac
        if [ -n "${SITEWISE_PYTHON:-}" ] && [ "$found" != "$(probe "$SITEWISE_PYTHON")" ]; then reuse=; fi
    fi
fi

if [ -z "$reuse" ]; then
    choose_python
fi
find_uv

# From here to the end .venv is in between two states.
: >"$unfinished"
rm -f "$stamp"

if [ -z "$reuse" ]; then
    say "making .venv with $python"
    rm -rf .venv
    "$uv" venv --quiet --no-config --no-project --python "$python" .venv >"$log" 2>&1 ||
        fail "uv could not make .venv with $python:
$(log_tail)
What to do: set SITEWISE_PYTHON to another Python 3.12, 3.13 or 3.14, then run make again."
    say "installing the packages of requirements.lock (the first time some 500 MB and one to three minutes)"
else
    say "bringing .venv into line with requirements.lock (a few seconds unless packages changed)"
fi

# Quiet, since the list of a hundred packages would bury what matters; errors still come through. The bytecode is
# compiled now, on all cores, rather than by the first import, on one.
with_heartbeat "$uv" pip sync --quiet --python .venv/bin/python --require-hashes --compile-bytecode requirements.lock ||
    fail "the packages of requirements.lock could not be installed; uv's reason stands above.
What to do: check the network connection and the free disk space (2 GB), then run make again."

# After the sync and not before it: the sync removes what is not in the lock, and the project is not. The build
# backend comes from the network or, failing that, from uv's cache.
install_project() {
    "$uv" pip install --quiet --python .venv/bin/python --no-deps "$@" --editable . >"$log" 2>&1
}
install_project || install_project --offline ||
    fail "the packages are installed, but Sitewise itself could not be:
$(log_tail)
What to do: check the network connection (the build backend has to be fetched), then run make again."

# The stamp appears whole or not at all.
fingerprint >"$stamp.new"
mv "$stamp.new" "$stamp"
rm -f "$unfinished"
say "ready after $(($(date +%s) - started)) s: .venv, $(.venv/bin/python -I -S -c 'import sys; print("Python %d.%d.%d" % sys.version_info[:3])')"
