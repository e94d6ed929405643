"""A Slurm cluster of the tests' own on this machine: two nodes, the accounting that submitit asks, and its database."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from processes import wait_until

NODES = ("n1", "n2")
# Daemons live where an ordinary user's search path does not lead.
_PATH = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/sbin"
_PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sacctmgr", "sacct", "srun")

_SLURM = """
ClusterName=fer3d
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[slurmctld]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=1
KillWait=1
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0,bf_interval=2
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[slurmdbd]}
AccountingStoragePass={folder}/munge.socket
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[n1]} CPUs=4 RealMemory=2000 Gres=gpu:1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[n2]} CPUs=4 RealMemory=2000 Gres=gpu:1
GresTypes=gpu
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""
# No GPU at all, but a device that may be given to one job at a time.
_GPUS = "NodeName=n1,n2 Name=gpu File=/dev/null\n"
_ACCOUNTING = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={ports[slurmdbd]}
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={ports[mariadb]}
StorageUser=root
StorageLoc=slurm_accounting
"""


def why_not() -> str | None:
    """Why no cluster can be started here; None where one can."""
    missing = [program for program in _PROGRAMS if shutil.which(program, path=_PATH) is None]
    if missing:
        return f"no Slurm with accounting is installed here: no {missing[0]}"
    return None if os.getuid() == 0 else "Slurm's daemons, which start jobs for users, run as root"


@dataclass(frozen=True)
class SlurmCluster:
    """A running cluster of the nodes `NODES`, of one GPU each, which is none.

    Attributes:
        environment: What a process needs in its environment to talk to it.
    """

    environment: dict[str, str]

    def ask(self, *command: str) -> str:
        """Runs one of Slurm's commands and returns what it says, with patience for a controller that starts again."""
        deadline = time.monotonic() + 60
        while True:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=self.environment)
            if done.returncode == 0:
                return done.stdout
            assert "Unable to contact slurm controller" in done.stderr, f"{command}: {done.stderr}"
            assert time.monotonic() < deadline, f"{command}: {done.stderr}"
            time.sleep(0.2)

    def running(self) -> dict[str, str]:
        """The node of each job that runs."""
        lines = self.ask("squeue", "--noheader", "--states=RUNNING", "--format=%i %N").splitlines()
        return dict(line.split() for line in lines)

    def num_jobs(self) -> int:
        """Number of jobs that run or wait."""
        return len(self.ask("squeue", "--noheader", "--format=%i").splitlines())

    def nodes(self) -> dict[str, str]:
        """The state of each node."""
        lines = self.ask("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
        return dict(line.split() for line in lines)

    def put_in_service(self) -> None:
        """Waits until no node works any more, and returns those to service that are down or drained.

        One may be down again after it was resumed: a controller that crashes starts with the state that it saved last.
        Slurm drains a node that takes too long to end a job.
        """

        def all_idle() -> bool:
            out_of_service = [node for node, state in self.nodes().items() if state.rstrip("*") in ("down", "drained")]
            if out_of_service:
                self.ask("scontrol", "update", f"nodename={','.join(out_of_service)}", "state=resume")
            return self.num_jobs() == 0 and set(self.nodes().values()) == {"idle"}

        wait_until(
            all_idle, describe=lambda: self.ask("sinfo", "--Node", "--long") + self.ask("sinfo", "--list-reasons")
        )


@contextmanager
def slurm_cluster() -> Iterator[SlurmCluster]:
    """Runs a cluster as long as it is needed; nothing of it or of its jobs is left."""
    folder = Path(tempfile.mkdtemp(prefix="fer3d-slurm-"))
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        yield _start(folder, daemons)
    finally:
        _end_processes(folder)
        for daemon in daemons:
            daemon.wait()
        shutil.rmtree(folder)


def _start(folder: Path, daemons: list[subprocess.Popen[bytes]]) -> SlurmCluster:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
    environment |= {"PATH": _PATH, "SLURM_CONF": str(folder / "slurm.conf")}
    cluster = SlurmCluster(environment)
    host, ports = socket.gethostname().split(".")[0], _free_ports("mariadb", "slurmdbd", "slurmctld", *NODES)
    texts = {"slurm.conf": _SLURM, "slurmdbd.conf": _ACCOUNTING, "gres.conf": _GPUS, "munge.key": os.urandom(64).hex()}
    for name, text in texts.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text.format(folder=folder, host=host, ports=ports))
    for name in ("state", *(f"spool.{node}" for node in NODES)):
        (folder / name).mkdir()

    def start(daemon: str, *arguments: str) -> None:
        with (folder / f"{len(daemons)}-{daemon}.log").open("w") as log:
            # Ends with this process, be it killed, but not by Ctrl-C in its terminal.
            command = ["setpriv", "--pdeathsig=TERM", _found(daemon), *arguments]
            streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            # A core file, if it comes to that, goes the way of the folder.
            daemons.append(subprocess.Popen(command, **streams, env=environment, cwd=folder, start_new_session=True))

    def wait(condition: Callable[[], bool]) -> None:
        wait_until(
            condition, describe=lambda: "\n".join(f"{log}: {log.read_text()[-2000:]}" for log in folder.glob("*.log"))
        )

    files = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "seed", "log")]
    start("munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files)
    settings = ["--no-defaults", f"--datadir={folder}/mariadb", "--user=root"]
    install = [_found("mariadb-install-db"), *settings, "--skip-test-db"]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    start(
        *("mariadbd", *settings, f"--socket={folder}/mariadb.socket", f"--pid-file={folder}/mariadb.pid"),
        *(f"--port={ports['mariadb']}", "--bind-address=127.0.0.1", "--skip-grant-tables"),
        *("--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M"),
    )
    wait(lambda: (folder / "munge.socket").exists() and _listens(ports["mariadb"]))
    start("slurmdbd", "-D")
    wait(lambda: _listens(ports["slurmdbd"]))
    cluster.ask("sacctmgr", "-i", "add", "cluster", "fer3d")
    # Slurm 22.05's controller crashes at times where a node goes down and jobs end in the same moment. On a cluster,
    # systemd starts it again.
    again = 'setpriv --pdeathsig=TERM "$0" -D -c || until setpriv --pdeathsig=TERM "$0" -D; do sleep 0.2; done'
    start("sh", "-c", again, _found("slurmctld"))
    wait(lambda: _listens(ports["slurmctld"]))
    for node in NODES:
        start("slurmd", "-D", "-N", node)
    wait(lambda: set(cluster.nodes().values()) == {"idle"})
    return cluster


def _end_processes(folder: Path) -> None:
    """Ends every process that has to do with the folder: daemons, steps of jobs, jobs, and who talks to them."""
    gentle = 50
    while processes := _processes_of(folder):
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM if gentle > 0 else signal.SIGKILL)
        gentle -= 1
        time.sleep(0.1)


def _processes_of(folder: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            known = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if int(process.name) != os.getpid() and os.fsencode(folder) in known:
                found.append(int(process.name))
    return found


def _found(program: str) -> str:
    path = shutil.which(program, path=_PATH)
    assert path is not None
    return path


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _free_ports(*names: str) -> dict[str, int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in names]
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return {name: free.getsockname()[1] for name, free in zip(names, sockets, strict=True)}
