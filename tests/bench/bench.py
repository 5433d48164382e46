"""Berth beside Debian's containerd and runc: the same CRI calls to both sockets, one run, one machine.

Prints a table and the bounds, and exits 1 when a bound does not hold. With --output the text also goes to
<directory>/<date>.txt.
"""

import argparse
import datetime
import os
import platform
import statistics
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [TOP + "/tests/support", TOP + "/tests/bench"]
# pylint: disable=wrong-import-position
import accounting
import images
import paths
from containerd import Containerd
from cri import container_config, pod_config
from daemon import Berthd
from registry import Registry

IMAGE = "127.0.0.1:5000/bench/base:1"
PAUSE = "127.0.0.1:5000/bench/pause:1"

# Issue: what must hold.
POD_LIFE_SHARE = 0.1
EXEC_SYNC_MS = 3.0
POD_MEMORY_MIB = 0.4
RESTART_SECONDS = 0.5


class Report:
    def __init__(self):
        self.lines = []
        self.failed = 0

    def say(self, line=""):
        self.lines.append(line)
        print(line, flush=True)

    def bound(self, what, value, limit, unit):
        good = value <= limit
        self.failed += not good
        self.say(f"{'holds' if good else 'FAILS'}  {what}: {value:.3f} {unit}, at most {limit:.3f}")


class Subject:
    """One runtime under measurement."""

    def __init__(self, name, daemon, cpu, programs):
        self.name, self.daemon, self.cpu, self.programs = name, daemon, cpu, programs
        self.lives, self.execs, self.life_walls, self.exec_walls, self.restarts = [], [], [], [], []
        self.in_containers = []
        self.idle_kib = self.full_kib = 0
        self.count = 0

    def start(self):
        self.daemon.start()
        self.cpu.count(self.daemon.process.pid)

    def restart_daemon(self):
        """From SIGKILL until every pod and container is reported again."""
        cri = self.daemon.cri
        pods, containers = len(cri.pods()), len(cri.containers())
        began = time.monotonic()
        self.daemon.kill()
        self.start()
        while True:
            ready = [pod for pod in cri.pods() if pod["state"] == "SANDBOX_READY"]
            running = [one for one in cri.containers() if one["state"] == "CONTAINER_RUNNING"]
            if len(ready) == pods and len(running) == containers:
                return time.monotonic() - began
            if time.monotonic() - began > 60:
                raise RuntimeError(f"{self.name}: {len(ready)} of {pods} pods after a restart")

    def begin_pod(self, command=("sleep", "100000")):
        cri = self.daemon.cri
        self.count += 1
        config = pod_config(f"bench-{self.count}", host_network=True, log_directory=self.daemon.logs)
        config["linux"]["cgroup_parent"] = accounting.PODS
        config["linux"]["security_context"]["namespace_options"]["pid"] = "CONTAINER"
        pod = cri.run_pod(config)
        one = container_config("main", IMAGE, list(command), log_path=f"{self.count}.log")
        one["linux"] = {"security_context": {"namespace_options": config["linux"]["security_context"]["namespace_options"]}}
        container = cri.create(pod, one, config)
        cri.start_container(container)
        return pod, container

    def end_pod(self, pod, container):
        cri = self.daemon.cri
        cri.stop_container(container, 0)
        cri.remove_container(container)
        cri.stop_pod(pod)
        cri.remove_pod(pod)

    def measure_lives(self, number, keep=True):
        began, wall, inside_began = self.cpu.seconds(), time.monotonic(), self.cpu.container_seconds()
        for _ in range(number):
            self.end_pod(*self.begin_pod())
        if keep:
            self.in_containers.append((self.cpu.container_seconds() - inside_began) * 1000 / number)
            self.lives.append((self.cpu.seconds() - began) * 1000 / number)
            self.life_walls.append((time.monotonic() - wall) * 1000 / number)

    def measure_execs(self, container, number, keep=True):
        began, wall = self.cpu.seconds(), time.monotonic()
        for _ in range(number):
            code, _, text = self.daemon.cri.exec_sync(container, ["true"])
            if code != 0:
                raise RuntimeError(f"{self.name}: true exited {code}: {text!r}")
        if keep:
            self.execs.append((self.cpu.seconds() - began) * 1000 / number)
            self.exec_walls.append((time.monotonic() - wall) * 1000 / number)

    def memory(self, pods):
        """The daemon's and its shims', of which there must be one per pod, or something was not measured."""
        pids = accounting.pids_of(*self.programs)
        if len(pids) != pods + 1:
            raise RuntimeError(f"{self.name}: {len(pids)} processes for {pods} pods")
        return accounting.pss_kib(pids)

    def measure_scale(self, number, restarts):
        """Memory of so many pods, and how soon a killed daemon reports them again."""
        self.daemon.kill()
        self.start()
        self.daemon.cri.pods()
        time.sleep(1)  # both let their start-up settle; the bound is on what stays
        self.idle_kib = self.memory(0)
        pods = [self.begin_pod() for _ in range(number)]
        time.sleep(1)
        self.full_kib = self.memory(number)
        for _ in range(restarts):
            self.restarts.append(self.restart_daemon())
        for pod in pods:
            self.end_pod(*pod)

    def pod_mib(self, number):
        return (self.full_kib - self.idle_kib) / number / 1024


def measure(report, subjects, options):
    for subject in subjects:
        subject.start()
        subject.daemon.cri.pull(IMAGE)
        if subject.name != "berth":
            subject.daemon.cri.pull(PAUSE)
        subject.measure_lives(3, keep=False)
    # Rounds alternate, so that what else the machine does falls on both.
    for _ in range(options.rounds):
        for subject in subjects:
            subject.measure_lives(options.lives)
    for subject in subjects:
        subject.pod = subject.begin_pod()
        subject.measure_execs(subject.pod[1], 5, keep=False)
    for _ in range(options.rounds):
        for subject in subjects:
            subject.measure_execs(subject.pod[1], options.execs)
    for subject in subjects:
        subject.end_pod(*subject.pod)
        subject.measure_scale(options.pods, options.restarts)
        report.say(f"raw {subject.name}: pod life CPU ms {rounded(subject.lives)}, charged to containers "
                   f"{rounded(subject.in_containers)}, wall ms {rounded(subject.life_walls)}; "
                   f"exec CPU ms {rounded(subject.execs)}, wall ms {rounded(subject.exec_walls)}; "
                   f"PSS KiB {subject.idle_kib} -> {subject.full_kib}; restarts s {rounded(subject.restarts, 3)}")


def rounded(values, digits=2):
    return [round(value, digits) for value in values]


def judge(report, berth, peer, options):
    median = statistics.median
    rows = (
        ("CPU per pod life, ms", median(berth.lives), median(peer.lives)),
        ("  beside it, charged to the container, ms", median(berth.in_containers), median(peer.in_containers)),
        ("wall per pod life, ms", median(berth.life_walls), median(peer.life_walls)),
        ("CPU per ExecSync of true, ms", median(berth.execs), median(peer.execs)),
        ("wall per ExecSync of true, ms", median(berth.exec_walls), median(peer.exec_walls)),
        (f"memory per pod at {options.pods} pods, MiB", berth.pod_mib(options.pods), peer.pod_mib(options.pods)),
        ("memory of the daemon without pods, MiB", berth.idle_kib / 1024, peer.idle_kib / 1024),
        (f"SIGKILL until {options.pods} pods are reported, s", median(berth.restarts), median(peer.restarts)),
    )
    report.say()
    report.say(f"{'':44}{'berth':>10}{'containerd':>12}{'ratio':>8}")
    for what, ours, theirs in rows:
        report.say(f"{what:44}{ours:10.2f}{theirs:12.2f}{theirs / ours if ours > 0 else 0:7.1f}x")
    report.say()
    report.bound("CPU per pod life against containerd", median(berth.lives), POD_LIFE_SHARE * median(peer.lives), "ms")
    report.bound("CPU per ExecSync", median(berth.execs), EXEC_SYNC_MS, "ms")
    report.bound("memory per pod", berth.pod_mib(options.pods), POD_MEMORY_MIB, "MiB")
    report.bound("restart", median(berth.restarts), RESTART_SECONDS, "s")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown processor")
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, load {os.getloadavg()[0]:.1f}"


def commit():
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=False)
    return done.stdout.strip() or "unknown"


def inside(options):
    directory = os.environ["BERTH_ENV_DIR"]
    cpu = accounting.Cpu()
    cpu.observe(os.getpid())
    registry = Registry(directory + "/registry")
    client = images.RegistryClient(registry.url)
    layer = images.busybox_layer(paths.busybox())
    base = images.Image([layer], {"Cmd": ["sh"]})
    client.push(base, "bench/base", "1")
    client.push(images.Image([images.busybox_layer(paths.busybox())], {"Cmd": ["sleep", "100000"]}), "bench/pause", "1")
    report = Report()
    berth = Subject("berth", Berthd(directory + "/berth"), cpu, ("berthd", "berth-shim"))
    peer = Subject("containerd", Containerd(directory + "/containerd", PAUSE), cpu, ("containerd", "containerd-shim-runc-v2"))
    report.say(f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC, berth {commit()} "
               f"({os.path.basename(paths.build())} build), {peer.daemon.version()}")
    report.say(machine())
    report.say(f"host network, one container per pod; {options.rounds} rounds of {options.lives} lives and {options.execs} "
               f"execs, {options.pods} pods, {options.restarts} restarts")
    try:
        measure(report, (berth, peer), options)
        judge(report, berth, peer, options)
    finally:
        for subject in (berth, peer):
            subject.daemon.close()
        registry.stop()
        cpu.close()
    if options.output:
        os.makedirs(options.output, exist_ok=True)
        name = f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d-%H%M}.txt"
        with open(os.path.join(options.output, name), "w", encoding="utf-8") as file:
            file.write("\n".join(report.lines) + "\n")
    return 1 if report.failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=os.path.join(TOP, "build/release"))
    parser.add_argument("--output", help="directory of the raw output")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lives", type=int, default=10, help="pod lives per round")
    parser.add_argument("--execs", type=int, default=50, help="ExecSync calls per round")
    parser.add_argument("--pods", type=int, default=100)
    parser.add_argument("--restarts", type=int, default=5)
    options = parser.parse_args()
    if os.environ.get("BERTH_ENV") == "inside":
        sys.exit(inside(options))
    os.environ["BERTH_BUILD"] = os.path.abspath(options.build)
    environment = os.path.join(TOP, "tests/support/environment.py")
    os.execv(sys.executable, [sys.executable, environment, sys.executable, os.path.abspath(__file__), *sys.argv[1:]])


if __name__ == "__main__":
    main()
