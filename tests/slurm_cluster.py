"""A real Slurm of one node with one GPU that is none, on this machine, for as long as a test needs it.

It needs root, since jobs are started for their users. Its files lie in a folder of its own, but the settings are
linked into /etc/slurm: the plugin's job step drops SLURM_CONF. A machine with a Slurm of its own is left alone.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

ETC = Path("/etc/slurm")
SETTINGS = ("slurm.conf", "gres.conf", "cgroup.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
DAEMONS = ("slurmd", "slurmctld", "munged")  # in the order in which they are stopped
PREFIX = "lungline-slurm-"
LOCK = Path("/tmp/lungline-slurm.lock")
ASK_S = 20  # a client of Slurm that has no answer by then never gets one

SLURM_CONF = """\
ClusterName=lungline
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=20
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill,UsePss
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,requeue_delay=1
GresTypes=gpu
MinJobAge=3600
KillWait=2
ReturnToService=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def program(name: str) -> str | None:
    """Path of a client or daemon; daemons lie where a user's PATH may not look."""
    return shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]))


def missing() -> str:
    """Why no Slurm can be started here, in a sentence; empty where one can."""
    lacking = [name for name in PROGRAMS if program(name) is None]
    if lacking:
        return f"needs Slurm and munge ({', '.join(lacking)} not found): apt install slurm-wlm munge"
    if os.geteuid():
        return "needs root, to start a Slurm"
    for name in SETTINGS:
        place = ETC / name
        if place.exists() and not place.resolve().parent.name.startswith(PREFIX):
            return f"leaves the Slurm of this machine alone ({place} is not of these tests)"
    return ""


@dataclass(frozen=True)
class Run:
    """One run of a job; a job that was requeued has several."""

    job: str
    step: str  # rule or group, and its wildcards
    state: str
    submitted: datetime
    start: datetime
    end: datetime
    memory: str
    gpu: bool


@dataclass(frozen=True)
class Cluster:
    """A Slurm that is up; `folder` holds its logs."""

    folder: Path
    host: str

    def ask(self, *words: str) -> str:
        """The answer of a client of Slurm."""
        answer = subprocess.run(words, capture_output=True, text=True, timeout=ASK_S, check=False)
        if answer.returncode:
            raise AssertionError(f"{' '.join(words)}: {answer.stderr.strip()}")
        return answer.stdout

    def jobs(self, state: str) -> dict[str, str]:
        """Number -> comment (rule and wildcards) of the jobs in a state, e.g. RUNNING."""
        lines = self.ask("squeue", "--noheader", f"--states={state}", "--format=%i %k").splitlines()
        return dict(line.partition(" ")[::2] for line in lines)

    def node(self, state: str) -> None:
        """Take the node down, or resume it."""
        self.ask("scontrol", "update", f"NodeName={self.host}", f"State={state}", "Reason=test")

    def runs(self) -> list[Run]:
        """Every run of every job that has ended, in the order of their starts."""
        known = [_pairs(line) for line in self.ask("scontrol", "show", "jobs", "--oneliner").splitlines()]
        jobs = {told["JobId"]: told for told in known if "JobId" in told}
        found = []
        for told in map(_pairs, (self.folder / "jobs.txt").read_text(encoding="utf-8").splitlines()):
            job = jobs[told["JobId"]]
            times = [datetime.fromisoformat(told[key]) for key in ("SubmitTime", "StartTime", "EndTime")]
            memory = _pairs(told["Tres"].replace(",", " "))["mem"]
            gpu = "gpu" in job.get("TresPerJob", "")
            found.append(Run(told["JobId"], job.get("Comment", ""), told["JobState"], *times, memory, gpu))
        return sorted(found, key=lambda run: run.start)

    def logs(self) -> str:
        """The ends of the daemons' logs."""
        return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log")))


def _pairs(line: str) -> dict[str, str]:
    return {key: value for key, _, value in (word.partition("=") for word in line.split())}


@contextmanager
def slurm() -> Iterator[Cluster]:
    """Start munged, slurmctld and slurmd; stop them at the end, whatever happened.

    Two suites on one machine wait for one another: /etc/slurm holds the settings of one.
    """
    with open(LOCK, "a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield from _slurm()


def _slurm() -> Iterator[Cluster]:
    for name in SETTINGS:  # of a test that was killed
        if (ETC / name).is_symlink():
            stop((ETC / name).resolve().parent)
            (ETC / name).unlink(missing_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
    folder.chmod(0o755)  # munged is not root
    cluster = Cluster(folder, socket.gethostname().partition(".")[0])
    try:
        start(cluster)
        yield cluster
    finally:
        with suppress(subprocess.SubprocessError, AssertionError):
            subprocess.run(["scancel", "--full", "--user=root"], timeout=ASK_S, check=False, capture_output=True)
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and cluster.jobs("RUNNING,COMPLETING"):
                time.sleep(0.2)
        stop(folder)
        end_lost_jobs()
        for name in SETTINGS:
            (ETC / name).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def start(cluster: Cluster) -> None:
    folder = cluster.folder
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge" / "key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    for path in (key.parent, key):
        shutil.chown(path, "munge", "munge")
    places = {"key-file": "key", "socket": "socket", "pid-file": "munged.pid", "log-file": "log", "seed-file": "seed"}
    words = [f"--{option}={key.parent / name}" for option, name in places.items()]
    subprocess.run([program("munged"), *words], user="munge", group="munge", extra_groups=[], timeout=ASK_S, check=True)

    text = SLURM_CONF.format(host=cluster.host, folder=folder, controller=free_port(), node=free_port())
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    (folder / "gres.conf").write_text(f"NodeName={cluster.host} Name=gpu File=/dev/null\n", encoding="utf-8")
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n", encoding="utf-8")
    (folder / "jobs.txt").touch()
    ETC.mkdir(exist_ok=True)
    for name in SETTINGS:
        new = folder / f"{name}.link"
        new.symlink_to(folder / name)
        new.replace(ETC / name)
    for daemon, *words in (["slurmctld", "-i"], ["slurmd", "-N", cluster.host]):
        subprocess.run([program(daemon), *words], timeout=ASK_S, check=True, capture_output=True)
    deadline = time.monotonic() + 30
    state = ""
    while state != "idle":
        if time.monotonic() > deadline:
            raise AssertionError(f"the node is '{state}' after 30 s\n{cluster.logs()}")
        time.sleep(0.2)
        with suppress(AssertionError, subprocess.TimeoutExpired):
            state = cluster.ask("sinfo", "--noheader", "--format=%T").strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop(folder: Path) -> None:
    """End the daemons whose pid files lie in a folder, and no other process."""
    for daemon in DAEMONS:
        file = folder / "munge" / "munged.pid" if daemon == "munged" else folder / f"{daemon}.pid"
        try:
            pid = int(file.read_text())
        except (OSError, ValueError):
            continue
        end(pid, daemon)


def end_lost_jobs() -> None:
    """Kill what is left of jobs: on a node that was taken down they live on, and Slurm forgets them."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if b"SLURM_CLUSTER_NAME=lungline\0" in (process / "environ").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


def end(pid: int, name: str) -> None:
    """TERM, then KILL, a process of this name."""
    for sign, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
        deadline = time.monotonic() + seconds
        with suppress(ProcessLookupError):
            if is_called(pid, name):
                os.kill(pid, sign)
        while is_called(pid, name):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        else:
            return


def is_called(pid: int, name: str) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False
    found = re.search(r"^Name:\s*(\S+)", status, re.MULTILINE)
    return found is not None and found[1].startswith(name) and "State:\tZ" not in status
