"""What the node suites share: a registry with images, one berthd, pods by the dozen, and the comparison at the end."""

import os
import re
import sys
import threading
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [TOP + "/tests/support"]
# pylint: disable=wrong-import-position
import images
import leaks
import paths
from cri import container_config, pod_config
from daemon import Berthd
from registry import Registry

REGISTRY = "127.0.0.1:5000"
IMAGE = REGISTRY + "/test/busybox:1"
ODD = REGISTRY + "/test/odd:1"

# Names that come and go without anything being left: SQLite's working files, the daemon's log, CNI's last address, a
# connection that is kept for the next request to the registry.
PASSING = (r"-(wal|shm|journal)$", r"/berthd\.log( #\d+)?$", r"/failpoint-hits( #\d+)?$", r"/last_reserved_ip\.\d+$",
           r"/ipam(/test)?(/lock)?$", r" socket tcp6? peer port 5000 #\d+$")

LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d) (stdout|stderr) (P|F) (.*)$")


def directory():
    return os.environ["BERTH_ENV_DIR"]


def eventually(check, what, seconds=10):
    """Waits until `check()` is true and returns what it gave; an AssertionError tells what never came."""
    deadline = time.monotonic() + seconds
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(0.01)


def log_lines(path, stream="stdout"):
    """The lines of one stream of a CRI log file, partial ones joined. A line that is not CRI's format is an error."""
    lines, partial = [], ""
    with open(path, encoding="utf-8") as file:
        for raw in file.read().splitlines():
            match = LOG_LINE.match(raw)
            if match is None:
                raise AssertionError(f"{path}: not a line of CRI's log format: {raw!r}")
            if match.group(1) != stream:
                continue
            partial += match.group(3)
            if match.group(2) == "F":
                lines.append(partial)
                partial = ""
    return lines


def processes_running(argument):
    """Pids of processes that have this word on their command line, without children they are just forking."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if argument.encode() in words:
                parents[int(name)] = parent
    return sorted(pid for pid, parent in parents.items() if parent not in parents)


class NodeCase(unittest.TestCase):
    """One registry and one berthd per class; `config` may add to the daemon's."""

    config = {}
    failpoints = ""

    @classmethod
    def setUpClass(cls):
        cls.directory = os.path.join(directory(), cls.__name__)
        os.makedirs(cls.directory)
        cls.registry = Registry(cls.directory + "/registry")
        cls.addClassCleanup(cls.registry.stop)
        cls.client = images.RegistryClient(cls.registry.url)
        cls.base = images.busybox_layer(paths.busybox())
        cls.base_tar = cls.base.tar()
        cls.client.push(images.Image([cls.base_layer()], {"Cmd": ["sh"]}), "test/busybox", "1")
        cls.client.push(images.Image([cls.base_layer(), *images.odd_layers()]), "test/odd", "1")
        cls.daemon = Berthd(cls.directory + "/berth", config=cls.config)
        cls.addClassCleanup(cls.daemon.close)
        cls.daemon.start(cls.failpoints)
        cls.cri = cls.daemon.cri
        cls.cri.pull(IMAGE)
        cls._names = 0
        cls._names_lock = threading.Lock()

    @classmethod
    def base_layer(cls):
        return images.Ready(cls.base_tar)

    @classmethod
    def name(cls, prefix="pod"):
        with cls._names_lock:
            cls._names += 1
            return f"{prefix}-{cls._names}"

    def run(self, result=None):
        """A failure is told with the end of the daemon's log."""
        before = len(result.failures) + len(result.errors)
        outcome = super().run(result)
        if len(result.failures) + len(result.errors) > before and hasattr(self, "daemon"):
            print(f"---- {self.daemon.log_path}\n{self.daemon.log_tail()}\n----", flush=True)
        return outcome

    @classmethod
    def pod(cls, prefix="pod", **more):
        """Runs a pod; returns (id, its request)."""
        name = cls.name(prefix)
        more.setdefault("log_directory", f"{cls.daemon.logs}/{name}")
        os.makedirs(more["log_directory"], exist_ok=True)
        config = pod_config(name, **more)
        return cls.cri.run_pod(config), config

    @classmethod
    def container(cls, pod, command, start=True, image=IMAGE, name="main", **more):
        """Creates and starts a container in a pod that `pod()` gave."""
        container = cls.cri.create(pod[0], container_config(name, image, command, **more), pod[1])
        if start:
            cls.cri.start_container(container)
        return container

    @staticmethod
    def log_path(pod, name="main", attempt=0):
        return f"{pod[1]['log_directory']}/{name}.{attempt}.log"

    @classmethod
    def exited(cls, container, seconds=10):
        """The status of a container once it has exited."""
        def check():
            status = cls.cri.status(container)
            return status if status["state"] == "CONTAINER_EXITED" else None
        return eventually(check, f"container {container[:12]} exited", seconds)

    @classmethod
    def remove(cls, pod):
        cls.cri.stop_pod(pod[0])
        cls.cri.remove_pod(pod[0])

    @classmethod
    def warm_up(cls):
        """Makes what the first pod makes and no pod removes: the bridge, iptables chains, CNI's directory."""
        pod = cls.pod("warm", port_mappings=[{"container_port": 80, "host_port": 8099}])
        container = cls.container(pod, ["sleep", "1000"])
        cls.cri.exec_sync(container, ["true"])
        cls.cri.stop_container(container)
        cls.remove(pod)

    @classmethod
    def baseline(cls):
        return leaks.stable(cls.take)

    @classmethod
    def take(cls):
        """What the node holds now, the daemon's directories and descriptors included."""
        return leaks.snapshot([cls.daemon.root, cls.daemon.state, cls.daemon.ipam], {"berthd": cls.daemon.process.pid},
                              PASSING)

    def assert_nothing_left(self, before, seconds=10):
        changes = leaks.settle(before, self.take, seconds)
        if changes:
            self.fail("left behind:\n" + leaks.describe(changes))
