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

    def close(self):
        """Takes the groups away, in every hierarchy that a runtime made the pods' parent in."""
        self.count(os.getpid())
        for label, _, _, _ in linux.hierarchies():
            for name in (OBSERVER, PODS):
                for path, _, _ in os.walk(os.path.join(CGROUP_FS, label) + name, topdown=False):
                    os.rmdir(path)

    def seconds(self):
        return self._usage("") - self._usage(OBSERVER) - self._usage(PODS)

    def container_seconds(self):
        """What was charged to the containers' cgroups: their programs, and the part of their set-up that ran in there."""
        return self._usage(PODS)


def pids_of(*programs):
    """Processes of these programs. By name: the executable of one that left the root it was started from cannot be told."""
    names = {program[:15] for program in programs}  # as much as the kernel keeps
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                if file.read().strip() in names:
                    found.append(int(pid))
        except OSError:
            continue  # gone meanwhile
    return found


def pss_kib(pids):
    """Proportional memory of these processes together."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            total += int(next(line for line in file if line.startswith("Pss:")).split()[1])
    return total
