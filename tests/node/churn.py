"""Work for a daemon that is killed: seeded lifecycles, and a model of what must be true whatever moment it died at.

The model knows three things of each operation: it was not begun, it was answered OK (then its effect must last), or it was
in flight at the kill (then either outcome is right, but a whole one, and a retry must lead on).
"""

import os
import random
import threading

from cri import CriError, container_config, pod_config
from node_case import IMAGE, ODD, eventually, log_lines, processes_running

INTERRUPTED = ("UNAVAILABLE", "CANCELLED", "DRIVER")


class Interrupted(Exception):
    """The daemon died under a call."""


class Writer:
    """A container that writes numbered lines and exits with a code of its own; or, with `lines` None, one that stays."""

    def __init__(self, pod, name, number, lines, code):
        self.pod, self.name, self.number, self.lines, self.code = pod, name, number, lines, code
        self.id = None
        self.started = False  # StartContainer was answered OK
        self.pids = []

    def command(self):
        if self.lines is None:
            return ["sh", "-c", f"i=0; while :; do echo $i; i=$((i+1)); usleep 20000; done # {self.marker()}", self.marker()]
        return ["sh", "-c", f"i=0; while [ $i -lt {self.lines} ]; do echo $i; i=$((i+1)); usleep 3000; done; exit {self.code}"]

    def marker(self):
        return f"keeper-{self.number}"

    def log(self):
        return f"{self.pod.logs}/{self.name}.0.log"


class Pod:
    def __init__(self, config, logs):
        self.config, self.logs = config, logs
        self.id = None
        self.removing = False
        self.writers = []


class Churn:
    """Workers that make and remove pods until the daemon is gone; then `check` compares the node with the model."""

    def __init__(self, daemon, seed, workers=3):
        self.daemon, self.seed, self.workers = daemon, seed, workers
        self.random = random.Random(seed)
        self.lock = threading.Lock()
        self.pods = []
        self.problems = []
        self.operations = 0
        self.numbers = 0

    # ---- making work

    def call(self, method, request):
        with self.lock:
            self.operations += 1
        try:
            return self.daemon.cri.call(method, request, timeout=60)
        except CriError as error:
            if error.code in INTERRUPTED:
                raise Interrupted from error
            raise

    def number(self):
        with self.lock:
            self.numbers += 1
            return self.numbers

    def make_pod(self, chance, host_network=None):
        number = self.number()
        name = f"churn-{self.seed}-{number}"
        logs = f"{self.daemon.logs}/{name}"
        os.makedirs(logs)
        host = chance.random() < 0.5 if host_network is None else host_network
        pod = Pod(pod_config(name, host_network=host, log_directory=logs), logs)
        with self.lock:
            self.pods.append(pod)
        pod.id = self.call("RunPodSandbox", {"config": pod.config})["pod_sandbox_id"]
        return pod

    def make_writer(self, pod, lines, code):
        number = self.number()
        writer = Writer(pod, f"c{number}", number, lines, code)
        with self.lock:
            pod.writers.append(writer)
        config = container_config(writer.name, IMAGE, writer.command())
        writer.id = self.call("CreateContainer", {"pod_sandbox_id": pod.id, "config": config,
                                                  "sandbox_config": pod.config})["container_id"]
        self.call("StartContainer", {"container_id": writer.id})
        writer.started = True
        if lines is None:
            writer.pids = processes_running(writer.marker())
        return writer

    def remove_pod(self, pod):
        pod.removing = True
        if pod.writers and pod.writers[0].number % 2:  # some container by container, some at once
            for writer in pod.writers:
                self.call("StopContainer", {"container_id": writer.id, "timeout": 0})
                self.call("RemoveContainer", {"container_id": writer.id})
        self.call("StopPodSandbox", {"pod_sandbox_id": pod.id})
        self.call("RemovePodSandbox", {"pod_sandbox_id": pod.id})
        with self.lock:
            self.pods.remove(pod)

    def lifecycles(self, chance, stop):
        """One worker: pods come, live a little, and go."""
        mine = []
        while not stop.is_set():
            pod = self.make_pod(chance)
            mine.append(pod)
            for _ in range(chance.randint(1, 2)):
                self.make_writer(pod, chance.randint(5, 60), chance.randint(0, 99))
            if chance.random() < 0.4:
                self.call("ExecSync", {"container_id": self.make_writer(pod, None, 0).id, "cmd": ["true"], "timeout": 10})
            while len(mine) > 1:
                self.remove_pod(mine.pop(0))

    def pulls(self, stop):
        """One more worker: an image comes and goes."""
        while not stop.is_set():
            self.call("PullImage", {"image": {"image": ODD}})
            self.call("RemoveImage", {"image": {"image": ODD}})

    def guarded(self, work, *arguments):
        try:
            work(*arguments)
        except Interrupted:
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.problems.append(error)

    def run_until_killed(self, seconds, kill):
        """Starts the workers, calls `kill` after so long, and waits for all to notice."""
        stop = threading.Event()
        threads = [threading.Thread(target=self.guarded, args=(self.lifecycles, random.Random(self.random.random()), stop))
                   for _ in range(self.workers)]
        threads.append(threading.Thread(target=self.guarded, args=(self.pulls, stop)))
        for thread in threads:
            thread.start()
        stop.wait(seconds)
        kill()
        stop.set()
        for thread in threads:
            thread.join()

    # ---- comparing

    def check(self, case):
        """After a restart: everything that was promised holds, everything else is whole or gone."""
        case.assertEqual(self.problems, [], "a call failed for another reason than the kill")
        pods = {pod["metadata"]["name"]: pod for pod in self.daemon.cri.pods()}
        containers = {(one["pod_sandbox_id"], one["metadata"]["name"]): one for one in self.daemon.cri.containers()}
        for pod in list(self.pods):
            name = pod.config["metadata"]["name"]
            seen = pods.pop(name, None)
            if pod.removing:
                continue  # any state on the way out
            if pod.id is None:
                # In flight: done or undone, and then the same request must lead on.
                pod.id = seen["id"] if seen else self.retry(pod)
            else:
                case.assertIsNotNone(seen, f"{name} was reported and is lost")
                case.assertEqual((seen["id"], seen["state"]), (pod.id, "SANDBOX_READY"), name)
            for writer in pod.writers:
                self.check_writer(case, writer, containers.get((pod.id, writer.name)))
        case.assertEqual(sorted(pods), [], "pods that nobody asked for, or that were removed")

    def retry(self, pod):
        """The undoing may still hold the name for a moment; a kubelet tries again."""
        def answer():
            try:
                return self.daemon.cri.run_pod(pod.config)
            except CriError as error:
                if error.code != "ALREADY_EXISTS":
                    raise
                return None
        return eventually(answer, f"{pod.config['metadata']['name']} can be run again", 5)

    def check_writer(self, case, writer, seen):
        name = f"{writer.pod.config['metadata']['name']}/{writer.name}"
        if writer.id is not None:
            case.assertIsNotNone(seen, f"{name} was created and is lost")
        if seen is None:
            return
        writer.id = seen["id"]
        if not writer.started:
            return  # its start was in flight
        if writer.lines is None:
            case.assertEqual(seen["state"], "CONTAINER_RUNNING", f"{name} died with the daemon")
            pids = processes_running(writer.marker())
            case.assertTrue(pids, f"{name} is reported as running, but no process is")
            case.assertTrue(not writer.pids or writer.pids == pids, f"{name} was {writer.pids} and is {pids}")
            return
        eventually(lambda: self.daemon.cri.status(writer.id)["state"] == "CONTAINER_EXITED", f"{name} exited")
        status = self.daemon.cri.status(writer.id)
        case.assertEqual(status["exit_code"], writer.code, f"exit code of {name}")
        case.assertGreater(int(status["finished_at"]), int(status["started_at"]) - 1, name)
        lines = log_lines(writer.log())
        case.assertEqual(lines, [str(number) for number in range(writer.lines)], f"log of {name}")

    def check_keeper(self, case, writer):
        """A container that runs through all kills: same process, no line missing or twice, and lines still come."""
        case.assertEqual(self.daemon.cri.status(writer.id)["state"], "CONTAINER_RUNNING")
        case.assertEqual(processes_running(writer.marker()), writer.pids)
        count = len(log_lines(writer.log()))
        eventually(lambda: len(log_lines(writer.log())) > count, "the keeper writes on")
        lines = log_lines(writer.log())
        case.assertEqual(lines, [str(number) for number in range(len(lines))], "the keeper's log")

    def remove_everything(self):
        """By what the daemon lists, as a kubelet would; removal is retried like there."""
        def gone():
            for pod in self.daemon.cri.pods():
                self.daemon.cri.stop_pod(pod["id"])
                self.daemon.cri.remove_pod(pod["id"])
            return not self.daemon.cri.pods() and not self.daemon.cri.containers()
        eventually(gone, "all pods are removed", 30)
        self.pods.clear()
        # A pull that failed leaves its layers to the next try, a removal its files to the next removal.
        self.daemon.cri.pull(ODD)
        self.daemon.cri.call("RemoveImage", {"image": {"image": ODD}})
