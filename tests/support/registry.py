"""A registry for one test: Debian's docker-registry on a loopback port, storage in a directory of the test."""

import os
import socket
import subprocess
import time

import paths

CONFIG = """version: 0.1
log: {{ level: warn, accesslog: {{ disabled: true }} }}
storage:
  filesystem: {{ rootdirectory: {root} }}
  delete: {{ enabled: true }}
  maintenance: {{ uploadpurging: {{ enabled: false }} }}
http: {{ addr: "127.0.0.1:{port}" }}
{extra}
"""


def wait_for_port(port, process, log, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    with open(log, encoding="utf-8", errors="replace") as file:
        raise RuntimeError(f"nothing answers on port {port}: {file.read()[-2000:]}")


class Registry:
    """Runs until `stop`; `extra` is more of its configuration, such as an `auth` section."""

    def __init__(self, directory, port=5000, extra=""):
        os.makedirs(directory)
        self.address = f"127.0.0.1:{port}"
        self.url = "http://" + self.address
        config, log = directory + "/config.yml", directory + "/log"
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(root=directory + "/storage", port=port, extra=extra))
        with open(log, "wb") as out:
            self._process = subprocess.Popen(
                [paths.unpacked("docker-registry", "usr/bin/docker-registry"), "serve", config],
                stdout=out, stderr=out, env=dict(os.environ, OTEL_TRACES_EXPORTER="none"))
        wait_for_port(port, self._process, log)

    def stop(self):
        self._process.terminate()
        self._process.wait()
