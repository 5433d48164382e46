"""CRI for Python: calls go through the cri-driver program, answers are dictionaries of protobuf's JSON."""

import base64
import json
import subprocess
import threading
from concurrent.futures import Future

import paths


class CriError(Exception):
    """A call that did not answer OK; `code` is gRPC's name of the code."""

    def __init__(self, method, code, message):
        super().__init__(f"{method}: {code}: {message}")
        self.method, self.code, self.message = method, code, message


class Cri:
    """One connection to a socket. Calls may come from any thread; those in flight overlap."""

    def __init__(self, socket, driver=None):
        self._process = subprocess.Popen([driver or paths.cri_driver(), socket], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True, bufsize=1)
        self._lock = threading.Lock()
        self._next = 0
        self._waiting = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self):
        self._process.stdin.close()
        self._reader.join()
        self._process.stdout.close()
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self, method, request=None, timeout=120, wait_for_ready=False):
        """Sends a call; the Future gives the response, or raises CriError. `.seconds` is set when it is done."""
        future = Future()
        future.method, future.seconds = method, None
        with self._lock:
            self._next += 1
            self._waiting[self._next] = future
            line = json.dumps({"id": self._next, "method": method, "request": request or {},
                               "timeout_ms": int(timeout * 1000), "wait_for_ready": wait_for_ready})
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        return future

    def call(self, method, request=None, timeout=120, wait_for_ready=False):
        return self.start(method, request, timeout, wait_for_ready).result()

    def _read(self):
        for line in self._process.stdout:
            answer = json.loads(line)
            with self._lock:
                future = self._waiting.pop(answer["id"], None)
            if future is None:
                continue
            future.seconds = answer["seconds"]
            if answer["code"] == "OK":
                future.set_result(answer["response"])
            else:
                future.set_exception(CriError(future.method, answer["code"], answer["message"]))
        with self._lock:
            lost, self._waiting = list(self._waiting.values()), {}
        for future in lost:
            future.set_exception(CriError(future.method, "DRIVER", "the driver ended"))

    # What tests do all the time, in one word each.

    def pull(self, image, auth=None):
        request = {"image": {"image": image}}
        if auth:
            request["auth"] = auth
        return self.call("PullImage", request, timeout=300)["image_ref"]

    def pods(self, **filters):
        return self.call("ListPodSandbox", {"filter": filters} if filters else {})["items"]

    def containers(self, **filters):
        return self.call("ListContainers", {"filter": filters} if filters else {})["containers"]

    def run_pod(self, config, handler="", timeout=120):
        return self.call("RunPodSandbox", {"config": config, "runtime_handler": handler}, timeout)["pod_sandbox_id"]

    def create(self, pod, config, pod_config):
        return self.call("CreateContainer", {"pod_sandbox_id": pod, "config": config,
                                             "sandbox_config": pod_config})["container_id"]

    def start_container(self, container):
        self.call("StartContainer", {"container_id": container})

    def stop_container(self, container, timeout=0):
        self.call("StopContainer", {"container_id": container, "timeout": timeout}, timeout + 60)

    def remove_container(self, container):
        self.call("RemoveContainer", {"container_id": container})

    def status(self, container):
        return self.call("ContainerStatus", {"container_id": container})["status"]

    def pod_status(self, pod):
        return self.call("PodSandboxStatus", {"pod_sandbox_id": pod})["status"]

    def stop_pod(self, pod):
        self.call("StopPodSandbox", {"pod_sandbox_id": pod})

    def remove_pod(self, pod):
        self.call("RemovePodSandbox", {"pod_sandbox_id": pod})

    def exec_sync(self, container, command, timeout=30):
        """(exit code, stdout, stderr)."""
        answer = self.call("ExecSync", {"container_id": container, "cmd": command, "timeout": timeout}, timeout + 60)
        return answer["exit_code"], base64.b64decode(answer["stdout"]), base64.b64decode(answer["stderr"])


HOST_NETWORK = {"network": "NODE", "pid": "CONTAINER", "ipc": "POD"}
POD_NETWORK = {"network": "POD", "pid": "CONTAINER", "ipc": "POD"}


def pod_config(name, uid=None, namespace="test", attempt=0, host_network=False, log_directory="", **more):
    """A pod's request with what every pod must have; `more` overrides."""
    config = {
        "metadata": {"name": name, "uid": uid or name + "-uid", "namespace": namespace, "attempt": attempt},
        "hostname": "" if host_network else name[:63],
        "log_directory": log_directory,
        "labels": {"test": name},
        "linux": {"security_context": {"namespace_options": HOST_NETWORK if host_network else POD_NETWORK}},
    }
    config.update(more)
    return config


def container_config(name, image, command, attempt=0, log_path=None, **more):
    config = {
        "metadata": {"name": name, "attempt": attempt},
        "image": {"image": image},
        "command": command,
        "labels": {"test": name},
        "log_path": f"{name}.{attempt}.log" if log_path is None else log_path,
        "linux": {},
    }
    config.update(more)
    return config
