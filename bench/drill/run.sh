#!/usr/bin/env bash
# The drill: checks and measures everything on this machine's GPU within 8 minutes. Needs bash, coreutils, python3 and a
# Vulkan driver; nothing is installed. What was measured is in RESULTS at any moment: README.md, report.json, log.txt.
#
#   ./run.sh [RESULTS] [--full|--quick|--tiny]
#
# RESULTS: ./results unless given. Without a choice it is --full on a GPU and --quick on a software adapter.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
results=$here/results
form=()
for argument in "$@"; do
  case $argument in
    --full | --quick | --tiny) form=("$argument") ;;
    -*) echo "usage: run.sh [RESULTS] [--full|--quick|--tiny]" >&2; exit 1 ;;
    *) results=$argument ;;
  esac
done
mkdir -p "$results" || exit 1
results=$(cd "$results" && pwd)

# nothing REASON: the page of a drill that cannot begin.
nothing() {
  printf '# GPU drill\n\nNothing was measured: %s\n\nNot measured: kernels, benchmark, PyTorch, profile, training, tuner.\n' "$1" \
    >"$results/README.md"
  echo "drill: $1" >&2
  exit 1
}

machine="$(uname -s) $(uname -m)"
[ "$machine" = 'Linux x86_64' ] || nothing "the pack is for Linux x86_64, and this is $machine. Make one there: npm run gpu:pack."
command -v python3 >/dev/null || nothing 'python3, which unpacks it, is missing.'
work=$(mktemp -d) || nothing 'no temporary folder could be made (mktemp -d).'
pid=
trap 'rm -rf "$work"' EXIT
trap '[ -z "$pid" ] || kill -TERM "$pid"' TERM INT HUP
unpacked=$(python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1], "r:xz").extractall(sys.argv[2])' \
  "$here/payload.tar.xz" "$work" 2>&1) || nothing "payload.tar.xz could not be unpacked into $work: ${unpacked##*$'\n'}"

# The libraries that Node needs beside the C library, where the system has none.
if ! said=$("$work/node" --version 2>&1); then
  export LD_LIBRARY_PATH="$work/lib/runtime${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  said=$("$work/node" --version 2>&1) || nothing "the packed Node does not start here: ${said##*$'\n'}"
fi

"$work/node" "$work/drill.mjs" --pack "$work" --results "$results" "${form[@]+"${form[@]}"}" &
pid=$!
# A signal ends the first wait: the drill then writes its page and ends.
wait "$pid"
while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done
wait "$pid"
