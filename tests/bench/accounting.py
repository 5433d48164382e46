"""What a runtime costs: CPU of all that is neither the containers nor the observer, memory of its processes."""

import os

import linux

CGROUP_FS = "/sys/fs/cgroup"
OBSERVER, PODS = "/bench-observer", "/bench-pods"


class Cpu:
    """Splits the environment's CPU time: everything, minus what watches, minus the containers' own.

    A runtime cannot hide work from this: whatever it starts, in whatever cgroup, is counted unless it sits below PODS,
    which both runtimes are given as the pods' cgroup parent.
    """

    def __init__(self):
        labels = {label: kind for label, kind, _, _ in linux.hierarchies()}
        label = next((name for name in labels if "cpuacct" in name.split(",")), None)
        self._root = os.path.join(CGROUP_FS, label) if label else CGROUP_FS
        self._v1 = label is not None
        for name in (OBSERVER, PODS):
            os.makedirs(self._root + name, exist_ok=True)

    def observe(self, pid):
        """This process, and what it starts from now on, is not the runtime."""
        self._move(pid, OBSERVER)

    def count(self, pid):
        """This process is the runtime's."""
        self._move(pid, "" if self._v1 else "/env")

    def _move(self, pid, group):
        with open(f"{self._root}{group}/cgroup.procs", "w", encoding="utf-8") as file:
            file.write(str(pid))

    def _usage(self, group):
        """Seconds, children that are gone included."""
        if self._v1:
            with open(f"{self._root}{group}/cpuacct.usage", encoding="utf-8") as file:
                return int(file.read()) / 1e9
        with open(f"{self._root}{group}/cpu.stat", encoding="utf-8") as file:
            return int(next(line for line in file if line.startswith("usage_usec")).split()[1]) / 1e6

    def seconds(self):
        return self._usage("") - self._usage(OBSERVER) - self._usage(PODS)


    def container_seconds(self):
        """What was charged to the containers' cgroups: their programs, and the part of their set-up that ran in there."""
        return self._usage(PODS)


def pids_of(*programs):
    """Processes whose executable, or name where the executable's path is out of sight (a shim in a mount namespace of its
    own), is one of these."""
    names = {program[:15] for program in programs}  # man 5 proc, /proc/pid/comm
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            exe = os.readlink(f"/proc/{name}/exe")
            with open(f"/proc/{name}/comm", encoding="utf-8", errors="replace") as file:
                comm = file.read().strip()
        except OSError:
            continue
        # A program started from a memfd, or replaced on disk, has a suffix or prefix of the kernel's.
        base = os.path.basename(exe.removesuffix(" (deleted)")).removeprefix("memfd:")
        if base in programs or (base == "" and comm in names):
            found.append(int(name))
    return found


def pss_kib(pids):
    """Proportional memory of these processes together."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            total += int(next(line for line in file if line.startswith("Pss:")).split()[1])
    return total
