#!/bin/sh
# Installs what `cargo xtask bench procs` compares with: mpirun and GNU parallel from Debian, torchrun
# into target/bench-peers. Needs root for the first two, and for the last some 200 MB from PyTorch's own
# index, or gigabytes from PyPI, which has no build without CUDA. Each is left out with a word where it
# cannot be had; nothing else runs this.
cd "$(dirname "$0")/.." || exit
TORCH=2.9.1

missing() {
    echo "NOT INSTALLED: $1" >&2
}

apt-get install -y -qq --no-install-recommends openmpi-bin parallel >/dev/null ||
    missing "mpirun and parallel (apt-get, as root)"

VENV=target/bench-peers/torch
install() {
    "$VENV/bin/pip" install -q --no-cache-dir --retries 1 "$@" "torch==$TORCH"
}
python3 -m venv "$VENV" &&
    { install --index-url https://download.pytorch.org/whl/cpu || install; } ||
    missing "torchrun (python3 -m venv, pip)"
