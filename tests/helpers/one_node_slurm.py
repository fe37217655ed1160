"""A Slurm of one node on this machine, in a directory of its own: munged, slurmctld and slurmd of who runs the tests.

They listen on the loopback address alone. There is no accounting database, as on many small clusters, and no control
groups: memory limits are held by slurmd, which looks every second.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "setpriv")
# Daemons are in sbin, which not every user has in PATH.
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"

# CPUs and memory are what jobs may ask for, not what the machine has. cred_expire: a job of a node that went down
# starts again only after so many seconds.
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={directory}/munge.socket,cred_expire=20
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd.log
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2
MinJobAge=3600
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=64000
PartitionName=main Nodes={host} Default=YES MaxTime=UNLIMITED State=UP
"""


def missing_programs() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.5)


def free_ports(n: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@dataclass(frozen=True)
class Slurm:
    directory: Path
    host: str

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find this Slurm."""
        return {"SLURM_CONF": str(self.directory / "slurm.conf"), "PATH": f"{self.directory}/bin:{PATH}"}

    def run(self, *command: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(command, env=os.environ | self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def jobs(self, rule: str, states: str = "all") -> list[str]:
        """Numbers of the jobs of a rule, oldest first."""
        listed = self.run("squeue", "--noheader", f"--states={states}", "--sort=i", "--format=%i|%k")
        pairs = [line.split("|", 1) for line in listed.splitlines()]
        return [number for number, comment in pairs if comment.startswith(f"rule_{rule}")]

    def _shown(self, job: str, field: str) -> str:
        return self.run("squeue", "--noheader", "--states=all", f"--jobs={job}", f"--format={field}").strip()

    def state(self, job: str) -> str:
        return self._shown(job, "%T")

    def memory(self, job: str) -> int:
        """The MB that the job asked for."""
        return int(self._shown(job, "%m").removesuffix("M"))

    def threads(self, job: str) -> int:
        """The CPUs that it asked for."""
        return int(self._shown(job, "%C"))

    def node_down(self) -> None:
        self.run("scontrol", "update", f"nodename={self.host}", "state=down", "reason=test")

    def node_up(self) -> None:
        """A node that has registered anew in the meantime is up already, and Slurm refuses to resume it."""

        def is_up() -> bool:
            if not self.run("sinfo", "--noheader", "--format=%T").startswith("down"):
                return True
            command = ("scontrol", "update", f"nodename={self.host}", "state=resume")
            subprocess.run(command, env=os.environ | self.environment, capture_output=True, timeout=60)
            return False

        wait_until(is_up, 60, "the node is up")


def write_configuration(directory: Path, host: str) -> None:
    for name in ("state", "spool", "bin"):
        (directory / name).mkdir()
    ports = dict(zip(("controller_port", "node_port"), free_ports(2), strict=True))
    text = CONFIGURATION.format(host=host, directory=directory, user=os.getuid(), **ports)
    (directory / "slurm.conf").write_text(text)
    (directory / "munge.key").touch(mode=0o400)
    (directory / "munge.key").chmod(0o600)
    (directory / "munge.key").write_bytes(os.urandom(1024))
    (directory / "munge.key").chmod(0o400)
    # Snakemake's plugin takes SLURM_CONF from its jobs (docs/cluster.md).
    srun = directory / "bin/srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={directory}/slurm.conf exec {shutil.which("srun", path=PATH)} "$@"\n')
    srun.chmod(0o755)


@contextlib.contextmanager
def one_node_slurm(directory: Path) -> Iterator[Slurm]:
    """A Slurm that is up; stopped with all its jobs at the end, and should the tests be killed, too."""
    slurm = Slurm(directory, socket.gethostname().split(".")[0])
    write_configuration(directory, slurm.host)
    munge = {"socket": "munge.socket", "key-file": "munge.key", "log-file": "munged.log", "pid-file": "munged.pid"}
    files = [f"--{option}={directory / name}" for option, name in (munge | {"seed-file": "munged.seed"}).items()]
    daemons: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> None:
        log = (directory / "daemons.log").open("ab")
        dies_with_us = ("setpriv", "--pdeathsig", "KILL")
        environment = os.environ | slurm.environment
        daemons.append(subprocess.Popen([*dies_with_us, *command], env=environment, stdout=log, stderr=log))

    def is_up() -> bool:
        assert all(daemon.poll() is None for daemon in daemons), (directory / "daemons.log").read_text()
        command = ("sinfo", "--noheader", "--format=%T")
        done = subprocess.run(command, env=os.environ | slurm.environment, capture_output=True, text=True)
        return done.stdout.strip() == "idle"

    try:
        start("munged", "--foreground", "--force", "--origin=127.0.0.1", *files)
        wait_until((directory / "munge.socket").exists, 30, "munged")
        start("slurmctld", "-D")
        start("slurmd", "-D")
        wait_until(is_up, 60, f"slurmctld and slurmd; logs in {directory}")
        yield slurm
        slurm.run("scancel", f"--user={os.getuid()}")
        wait_until(lambda: not slurm.run("squeue", "--noheader"), 60, "jobs that are cancelled")
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in reversed(daemons):
            daemon.wait(timeout=30)
        kill_left_over(slurm)


def kill_left_over(slurm: Slurm) -> None:
    """End what runs on for a Slurm that is no more: the job of a node that went down hangs on to its slurmd."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("SLURM_CONF") == slurm.environment["SLURM_CONF"]:
                process.kill()
