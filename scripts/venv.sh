# shellcheck shell=bash
# Sourced by serve, check, test and lock: keeps .venv in step with pyproject.toml and constraints.txt.

ROOT=$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")
VENV=$ROOT/.venv

say() { printf 'kindcache: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# ensure_venv model|dev: a few milliseconds when nothing has changed, a pip run otherwise.
ensure_venv() {
  local kind=$1 hash lock
  hash=$(_venv_hash)
  if _venv_current "$kind" "$hash"; then return; fi
  mkdir -p -- "$ROOT/build"
  exec {lock}>"$ROOT/build/venv.lock"
  flock --nonblock "$lock" || { say "another start is installing, waiting for it"; flock "$lock"; }
  _venv_current "$kind" "$hash" || _venv_make "$kind" "$hash"
  exec {lock}>&-
}

# apt_install PACKAGE...: as root on Debian installs, otherwise fails with the one line that helps.
apt_install() {
  local hint="apt-get install $*"
  if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    die "missing Debian packages; run as root: $hint"
  fi
  say "installing missing Debian packages: $*"
  local log=$ROOT/build/apt.log
  mkdir -p -- "$ROOT/build"
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get update && apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null; then
    tail -n 5 -- "$log" >&2
    die "could not install them; see $log"
  fi
}

# The folder is part of it: a virtual environment cannot be moved.
_venv_hash() {
  { printf '%s\n' "$ROOT"; cat -- "$ROOT/constraints.txt" "$ROOT/pyproject.toml"; } | sha256sum
}

_venv_current() {
  local stamp=$VENV/.kindcache-$1
  [[ -x $VENV/bin/python && -r $stamp && $(<"$stamp") == "$2" ]]
}

_venv_make() {
  local kind=$1 hash=$2 extras=model began=$SECONDS
  [[ $kind == dev ]] && extras=model,dev
  if [[ ! -x $VENV/bin/python || ! -x $VENV/bin/pip ]]; then
    local python
    python=$(_find_python) || { apt_install python3 && python=$(_find_python); } ||
      die "needs Python 3.11 or newer as python3 (or name one in KINDCACHE_PYTHON)"
    _ensure_build_tools "$python"
    say "making .venv with $("$python" --version)"
    "$python" -m venv -- "$VENV" || die "could not make $VENV"
  else
    _ensure_build_tools "$VENV/bin/python"
  fi
  rm -f -- "$VENV"/.kindcache-*
  _venv_install "$extras"
  printf '%s\n' "$hash" >"$VENV/.kindcache-model"
  [[ $kind == dev ]] && printf '%s\n' "$hash" >"$VENV/.kindcache-dev"
  say "installed in $((SECONDS - began)) s"
}

_find_python() {
  local name
  for name in ${KINDCACHE_PYTHON:+"$KINDCACHE_PYTHON"} python3 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v -- "$name"
      return
    fi
  done
  return 1
}

# hnswlib comes as source: it needs a compiler and Python's headers.
_ensure_build_tools() {
  local python=$1 name missing=()
  name=$(basename -- "$python")
  [[ $name == python3* ]] || name=python3
  "$python" -c 'import ensurepip' 2>/dev/null || missing+=("$name-venv")
  "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_config_var("INCLUDEPY"), "Python.h")))' ||
    missing+=("$name-dev")
  command -v g++ >/dev/null || missing+=(g++)
  if ((${#missing[@]})); then apt_install "${missing[@]}"; fi
}

# Without --no-compile pip spends most of its time on modules that are never imported.
_venv_install() {
  local extras=$1 log=$ROOT/build/install.log
  say "installing kindcache[$extras] into .venv; the first time this takes some minutes (log: $log)"
  if ! PYTHONUNBUFFERED=1 "$VENV/bin/python" -m pip install --disable-pip-version-check --no-input \
    --no-compile --progress-bar off -c "$ROOT/constraints.txt" -e "$ROOT[$extras]" 2>&1 </dev/null |
    tee -- "$log" | _show_progress; then
    tail -n 20 -- "$log" >&2
    die "pip failed; its whole output is in $log"
  fi
}

# Turns pip's output into a few lines; on a terminal also one line that is rewritten.
_show_progress() {
  local line status name count=0 began=$SECONDS step=resolving
  while true; do
    status=0
    IFS= read -r -t 20 line || status=$?
    if ((status > 128)); then
      say "  still $step ($((SECONDS - began)) s)"
      continue
    fi
    ((status)) && return 0
    case $line in
      Collecting\ *)
        name=${line#Collecting }
        count=$((count + 1))
        if [[ -t 2 ]]; then printf '\r\033[Kkindcache:   %d %s' "$count" "${name%%[ <>=!~;(]*}" >&2; fi
        ;;
      *Downloading*\([0-9][0-9]*\ MB\)*) _progress_line "  downloading ${line#*Downloading }" ;;
      *"Building wheel for "*started*)
        name=${line#*Building wheel for }
        step="building ${name%% *}"
        _progress_line "  $step"
        ;;
      "Installing collected packages:"*)
        step="writing $(($(tr -cd ',' <<<"$line" | wc -c) + 1)) packages to disk"
        _progress_line "  $step"
        ;;
    esac
  done
}

_progress_line() {
  if [[ -t 2 ]]; then printf '\r\033[K' >&2; fi
  say "$@"
}
