#!/usr/bin/env bash
# Makes .venv and installs Coterie with everything the demo and the tests need.
# A second run that finds nothing changed does nothing. Usage: deploy/install.sh [VENV]
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}

say() { printf '==> %s\n' "$*"; }
die() { printf 'install: %s\n' "$*" >&2; exit 1; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  die "no Python 3.11 or newer found: install one, or name it: PYTHON=/path/to/python make up"
}

has_gpu() { command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L 2>/dev/null | grep -q '^GPU'; }

python=$(find_python)
build=cpu
has_gpu && build=gpu
wanted="$build $("$python" --version) $(cat pyproject.toml requirements/* | sha256sum | cut -d' ' -f1)"
if [ -f "$venv/.installed" ] && [ "$(cat "$venv/.installed")" = "$wanted" ]; then
  exit 0
fi
# A half-made environment is worth nothing: begin anew unless only the lists have changed.
[ -f "$venv/.installed" ] || rm -rf "$venv"

say "virtual environment in $venv ($("$python" --version))"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv" || die "python cannot make a virtual environment: install its venv module"
rm -f "$venv/.installed"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }
# A person at a terminal sees the downloads go by; a log is spared the list of packages.
uv() {
  if [ -t 2 ]; then
    "$venv/bin/uv" pip "$@" --python "$venv/bin/python"
  else
    "$venv/bin/uv" pip "$@" --python "$venv/bin/python" 2>&1 | { grep -vE "^ [+~-] " || true; }
  fi
}
quiet=-q
[ -t 1 ] && quiet=

# uv does not read pip's configuration: hand on an index and certificates configured there.
configured() { { pip config list 2>/dev/null || true; } | sed -n "s/^global\.$1='\(.*\)'\$/\1/p" | tail -n 1; }
index=$(configured index-url)
cert=$(configured cert)
[ -n "${PIP_CERT:-$cert}" ] && export SSL_CERT_FILE="${SSL_CERT_FILE:-${PIP_CERT:-$cert}}"
[ -n "${PIP_INDEX_URL:-$index}" ] && export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$index}}"
export UV_LINK_MODE=${UV_LINK_MODE:-copy}

say "installer"
pip install -q -r requirements/bootstrap.txt
if [ "$build" = gpu ]; then
  say "a GPU was found: vLLM's GPU build (several GB)"
  uv install --override requirements/overrides-gpu.txt -e '.[vllm,demo,train,dev]'
else
  say "no GPU was found: PyTorch's CPU build"
  torch=$(grep -E '^torch==' requirements/cpu.lock | sed 's/ *;.*//')
  # Only this one comes from PyTorch's own index, and pip takes it from a local folder as well.
  pip install $quiet --no-deps --retries 0 --extra-index-url https://download.pytorch.org/whl/cpu "$torch"
  say "vLLM's CPU build and everything else, from requirements/cpu.lock"
  uv install --no-deps -r requirements/cpu.lock
  uv install --no-deps -e .
fi
printf '%s' "$wanted" > "$venv/.installed"
say "installed"
