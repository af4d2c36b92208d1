#!/bin/sh
# Installs Open MPI and MPICH side by side, for the drill of distributed training, where apt-get may. What is missing afterwards
# the drill does without.
export DEBIAN_FRONTEND=noninteractive
command -v mpirun.openmpi >/dev/null && command -v mpirun.mpich >/dev/null && exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0
apt-get update -qq
apt-get install -y -qq --no-install-recommends openmpi-bin mpich
