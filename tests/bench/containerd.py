"""The peer: Debian's containerd and runc, unpacked, started by hand with the settings that Kubernetes uses."""

import os
import signal
import subprocess
import time

import paths
from cri import Cri, CriError

CONFIG = """version = 2
root = "{directory}/root"
state = "{directory}/state"
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{directory}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = {restrict}
  disable_apparmor = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{directory}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  BinaryName = "{runc}"
"""


def may_lower_oom_score():
    """Whether this process has CAP_SYS_RESOURCE, without which containerd must clamp."""
    with open("/proc/self/status", encoding="utf-8") as file:
        bits = int(next(line for line in file if line.startswith("CapEff")).split()[1], 16)
    return bool(bits >> 24 & 1)


class Containerd:
    """Has the same shape as Berthd of tests/support/daemon.py."""

    def __init__(self, directory, pause):
        for name in ("cni", "logs"):
            os.makedirs(f"{directory}/{name}")
        self.directory, self.logs = directory, directory + "/logs"
        self.socket = "/run/containerd-bench.sock"
        self.log_path = directory + "/log"
        self._runc = paths.unpacked("runc", "usr/sbin/runc")
        self._program = paths.unpacked("containerd", "usr/bin/containerd")
        with open(directory + "/config.toml", "w", encoding="utf-8") as file:
            file.write(CONFIG.format(directory=directory, socket=self.socket, pause=pause, runc=self._runc,
                                     restrict="false" if may_lower_oom_score() else "true"))
        self.process = None
        self.cri = None

    def start(self):
        path = os.path.dirname(self._program) + ":" + os.environ["PATH"]
        began = time.monotonic()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self._program, "--config", self.directory + "/config.toml"], stdout=log,
                                            stderr=log, env=dict(os.environ, PATH=path))
        if self.cri is None:
            self.cri = Cri(self.socket)
        while True:
            try:
                self.cri.call("Version", {}, timeout=1)
                return time.monotonic() - began
            except CriError:
                if self.process.poll() is not None or time.monotonic() - began > 60:
                    with open(self.log_path, encoding="utf-8", errors="replace") as file:
                        raise RuntimeError(f"containerd does not answer: {file.read()[-2000:]}") from None
            time.sleep(0.005)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def remove_all(self):
        for pod in self.cri.pods():
            self.cri.stop_pod(pod["id"])
            self.cri.remove_pod(pod["id"])

    def close(self):
        try:
            if self.process is not None and self.process.poll() is None:
                self.remove_all()
                self.process.terminate()
                self.process.wait(30)
        finally:
            if self.process is not None and self.process.poll() is None:
                self.kill()
            if self.cri is not None:
                self.cri.close()

    def version(self):
        def first(*command):
            return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]
        return f"{first(self._program, '--version')}; {first(self._runc, '--version')}"
