"""berthd for tests: a configuration, a start that waits until it answers, and the ways it can end."""

import errno
import json
import os
import signal
import subprocess
import time

import linux
import paths
from cri import Cri, CriError


class StartError(Exception):
    pass


def toml(value):
    """A value as TOML writes it."""
    return "[" + ", ".join(json.dumps(item) for item in value) + "]" if isinstance(value, list) else json.dumps(value)


def write_config(path, sections):
    """`sections`: {"": {key: value}, "network": {...}}."""
    with open(path, "w", encoding="utf-8") as file:
        for section, values in sections.items():
            if section:
                file.write(f"\n[{section}]\n")
            for key, value in values.items():
                file.write(f"{key} = {toml(value)}\n")


CNI_NETWORK = {
    "cniVersion": "1.0.0", "name": "test",
    "plugins": [
        {"type": "bridge", "bridge": "berth0", "isGateway": True, "ipMasq": True, "hairpinMode": True,
         "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.86.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}


def remove_parent_cgroups(*names):
    """The parents of pods and shims outlive a daemon, as its pods do. Empty ones are removed; what is in use stays and is
    found by the environment."""
    for label, _, _, _ in linux.hierarchies():
        for name in names:
            try:
                os.rmdir(os.path.join("/sys/fs/cgroup", label, name))
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY):
                    raise


class Berthd:
    """One daemon under `directory`: root, state, socket, log, CNI configuration. Several may run side by side."""

    def __init__(self, directory, name="berth", bridge="berth0", subnet="10.86.0.0/16", config=None):
        self.directory, self.name = directory, name
        self.root, self.state = directory + "/root", directory + "/state"
        self.socket = f"/run/{name}/berth.sock"
        self.log_path = directory + "/berthd.log"
        self.config_path = directory + "/config.toml"
        self.ipam = directory + "/ipam"
        self.hits = directory + "/failpoint-hits"
        self.logs = directory + "/logs"
        self.process = None
        self.cri = None
        for path in (self.root, self.state, self.logs, directory + "/cni", directory + "/certs.d", f"/run/{name}"):
            os.makedirs(path, exist_ok=True)
        network = json.loads(json.dumps(CNI_NETWORK))
        network["plugins"][0]["bridge"] = bridge
        network["plugins"][0]["ipam"]["ranges"] = [[{"subnet": subnet}]]
        network["plugins"][0]["ipam"]["dataDir"] = self.ipam
        with open(directory + "/cni/10-test.conflist", "w", encoding="utf-8") as file:
            json.dump(network, file)
        sections = {
            "": {},
            "metrics": {"address": ""},
            "image": {"certs_dir": directory + "/certs.d"},
            "runtime": {"shim": paths.shim(), "cgroup_parent": f"/{name}", "shim_cgroup": f"/{name}-shims"},
            "network": {"conf_dir": directory + "/cni", "plugin_dirs": ["/opt/cni/bin", "/usr/lib/cni"],
                        "netns_dir": "/run/netns" if name == "berth" else f"/run/{name}/netns"},
        }
        for section, values in (config or {}).items():
            sections.setdefault(section, {}).update(values)
        write_config(self.config_path, sections)

    def spawn(self, failpoints="", prefix=()):
        """Starts the process and does not wait."""
        environment = dict(os.environ)
        environment.pop("BERTH_FAILPOINTS", None)
        if failpoints:
            environment.update(BERTH_FAILPOINTS=failpoints, BERTH_FAILPOINT_HITS=self.hits)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*prefix, paths.berthd(), "--config", self.config_path, "--root", self.root, "--state", self.state,
                 "--socket", self.socket], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def start(self, failpoints="", prefix=(), seconds=30):
        """Starts it and waits until it answers; returns the seconds that took."""
        began = time.monotonic()
        self.spawn(failpoints, prefix)
        if self.cri is None:
            self.cri = Cri(self.socket)
        while True:
            try:
                self.cri.call("Version", {}, timeout=1)
                return time.monotonic() - began
            except CriError as error:
                if self.process.poll() is not None:
                    raise StartError(f"berthd ended with {self.process.returncode}: {self.log_tail()}") from error
                if time.monotonic() - began > seconds:
                    raise StartError(f"berthd does not answer: {error}; {self.log_tail()}") from error
            time.sleep(0.005)

    def log_tail(self, size=3000):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()[-size:]

    def kill(self):
        """kill -9; everything it started lives on."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds=30):
        """SIGTERM; returns the exit status."""
        self.process.terminate()
        return self.process.wait(timeout=seconds)

    def wait(self, seconds=30):
        return self.process.wait(timeout=seconds)

    def remove_all(self):
        """Every pod goes, as a drained node would have it."""
        calls = [self.cri.start("RemovePodSandbox", {"pod_sandbox_id": pod["id"]}) for pod in self.cri.pods()]
        for call in calls:
            call.result()

    def close(self):
        """Ends the test's daemon: pods removed, process stopped, connection closed."""
        try:
            if self.process is not None and self.process.poll() is None:
                self.remove_all()
                self.stop()
        finally:
            if self.process is not None and self.process.poll() is None:
                self.kill()
            if self.cri is not None:
                self.cri.close()
                self.cri = None
            remove_parent_cgroups(self.name, self.name + "-shims")
