"""`make run`: a node of its own for as long as one pod lives. A registry with one image, berthd with its defaults, and
`berth run`, whose container's log line is the last thing printed. Nothing of it is left on the machine.
"""

import argparse
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
import images
import paths
from daemon import CNI_NETWORK, remove_parent_cgroups, write_config
from registry import Registry

IMAGE = "127.0.0.1:5000/demo/hello:1"
SOCKET = "/run/berth/berth.sock"  # berthd's default; /run is the environment's own
GREETING = 'echo "Hello from $(hostname), which runs $(busybox | head -n 1 | cut -d" " -f1,2)"'


def say(text):
    print(f"== {text}", flush=True)


def berth(*arguments, **keywords):
    """Runs the command as a person would; its failure ends the demonstration."""
    say("berth " + " ".join(arguments))
    return subprocess.run([paths.berth(), *arguments], check=True, **keywords)


def configure(directory):
    """A CNI network, and where this build keeps the shim; everything else is berthd's default."""
    os.makedirs(directory + "/cni")
    network = json.loads(json.dumps(CNI_NETWORK))
    network["plugins"][0]["ipam"]["dataDir"] = directory + "/ipam"
    with open(directory + "/cni/10-demo.conflist", "w", encoding="utf-8") as file:
        json.dump(network, file)
    write_config(directory + "/config.toml", {"runtime": {"shim": paths.shim()}, "network": {"conf_dir": directory + "/cni"}})


def wait_for_daemon(process, log):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        if subprocess.run([paths.berth(), "version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0:
            return
        time.sleep(0.05)
    with open(log, encoding="utf-8", errors="replace") as file:
        sys.exit(f"berthd does not answer:\n{file.read()[-3000:]}")


def inside():
    directory = os.environ["BERTH_ENV_DIR"]
    say("a registry with one image, made of Debian's busybox")
    registry = Registry(directory + "/registry")
    image = images.Image([images.busybox_layer(paths.busybox())], {"Cmd": ["sh", "-c", GREETING]})
    images.RegistryClient(registry.url).push(image, "demo/hello", "1")
    configure(directory)
    say("berthd")
    log = directory + "/berthd.log"
    with open(log, "wb") as out:
        daemon = subprocess.Popen([paths.berthd(), "--config", directory + "/config.toml", "--root", directory + "/root"],
                                  stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    line = ""
    try:
        wait_for_daemon(daemon, log)
        berth("pull", IMAGE)
        berth("run", "-d", "--name", "hello", IMAGE)
        line = berth("logs", "-f", "hello", stdout=subprocess.PIPE, text=True).stdout.strip()
        berth("ps", "-a")
        berth("rm", "hello")
    except subprocess.CalledProcessError as error:
        with open(log, encoding="utf-8", errors="replace") as file:
            print(file.read()[-3000:], file=sys.stderr)
        sys.exit(f"{' '.join(error.cmd[1:])} failed with {error.returncode}")
    finally:
        daemon.terminate()
        daemon.wait(30)
        registry.stop()
        remove_parent_cgroups("berth", "berth-shims")
    if not line:
        sys.exit("the container wrote no log line")
    say("the container's log:")
    print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    options = parser.parse_args()
    if os.environ.get("BERTH_ENV") == "inside":
        inside()
        return
    os.environ["BERTH_BUILD"] = os.path.abspath(options.build)
    environment = os.path.join(os.path.dirname(os.path.abspath(__file__)), "environment.py")
    os.execv(sys.executable, [sys.executable, environment, "--strict", sys.executable, os.path.abspath(__file__),
                              *sys.argv[1:]])


if __name__ == "__main__":
    main()
