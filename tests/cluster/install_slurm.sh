#!/bin/sh
# Slurm and munge for the tests of this directory, where they can be had: as root, with apt-get.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! command -v slurmctld >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge >/dev/null 2>&1 ||
        echo "Slurm is not to be had: its tests skip"
fi
