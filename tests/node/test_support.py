"""The instruments that the other suites trust: a leak that is planted must be found, a tool that fails must say so."""

import json
import os
import re
import subprocess
import sys
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, TOP + "/tests/support")
# pylint: disable=wrong-import-position
import images
import leaks
import linux
import paths
import suite
from cri import Cri, CriError
from registry import Registry

DIRECTORY = os.environ.get("BERTH_ENV_DIR", "")
ENVIRONMENT = [sys.executable, TOP + "/tests/support/environment.py"]


def run(*command):
    subprocess.run(command, check=True)


class Leaks(unittest.TestCase):
    """Each kind of thing that can be left behind."""

    def found(self, plant, undo, trees=()):
        before = leaks.snapshot(trees)
        self.assertEqual(leaks.difference(before, leaks.snapshot(trees)), {}, "the instrument itself changes something")
        plant()
        during = leaks.difference(before, leaks.snapshot(trees))
        undo()
        self.assertEqual(leaks.settle(before, lambda: leaks.snapshot(trees), 5), {})
        return during

    def test_a_mount(self):
        os.makedirs(DIRECTORY + "/point", exist_ok=True)
        changes = self.found(lambda: linux.mount("tmpfs", DIRECTORY + "/point", "tmpfs"),
                             lambda: linux.umount(DIRECTORY + "/point"))
        self.assertIn("mounts", changes)

    def test_a_network_namespace_and_a_link(self):
        run("ip", "netns", "add", "first")  # makes /run/netns a mount, once
        self.addCleanup(run, "ip", "netns", "del", "first")
        changes = self.found(lambda: run("ip", "netns", "add", "left"), lambda: run("ip", "netns", "del", "left"))
        self.assertIn("+ /run/netns/left", changes["network namespaces"])
        self.assertIn("mounts", changes)
        changes = self.found(lambda: run("ip", "link", "add", "left0", "type", "bridge"),
                             lambda: run("ip", "link", "del", "left0"))
        self.assertIn("+ link left0", changes["links"])

    def test_a_cgroup_in_each_hierarchy(self):
        for label, _, _, _ in linux.hierarchies():
            path = os.path.join("/sys/fs/cgroup", label, "left")
            changes = self.found(lambda p=path: os.mkdir(p), lambda p=path: os.rmdir(p))
            self.assertEqual(changes, {"cgroups": ["+ " + path]})

    def test_a_process(self):
        left = []
        changes = self.found(lambda: left.append(subprocess.Popen(["sleep", "100"])),
                             lambda: (left[0].kill(), left[0].wait()))
        self.assertTrue(any(re.fullmatch(r"\+ (sleep|python3\S*) #\d+", line) for line in changes["processes"]), changes)

    def test_a_packet_filter_rule(self):
        run("iptables", "-w", "-P", "INPUT", "ACCEPT")  # makes the table, once
        rule = ["INPUT", "-p", "tcp", "--dport", "1", "-j", "DROP"]
        changes = self.found(lambda: run("iptables", "-w", "-A", *rule), lambda: run("iptables", "-w", "-D", *rule))
        self.assertIn("rules", changes)

    def test_a_file(self):
        os.makedirs(DIRECTORY + "/tree", exist_ok=True)
        path = DIRECTORY + "/tree/left"
        changes = self.found(lambda: open(path, "w", encoding="utf-8").close(), lambda: os.unlink(path), [DIRECTORY + "/tree"])
        self.assertEqual(changes, {"files": ["+ " + path]})

    def test_a_descriptor_of_a_process(self):
        before = leaks.snapshot(fds_of=[os.getpid()])
        with open(TOP + "/Makefile", encoding="utf-8") as file:
            during = leaks.difference(before, leaks.snapshot(fds_of=[os.getpid()]))
            self.assertEqual(during, {"descriptors": [f"+ {os.getpid()} {file.name} #0"]})


class Environment(unittest.TestCase):
    """An environment in this environment."""

    def run_inside(self, script, *options):
        done = subprocess.run([*ENVIRONMENT, *options, "--", "sh", "-c", script], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False,
                              env=dict(os.environ, BERTH_TEST_BASE=DIRECTORY))
        return done.returncode, done.stdout, done.stderr

    def test_gives_the_commands_exit_status(self):
        self.assertEqual(self.run_inside("exit 7")[0], 7)
        self.assertEqual(self.run_inside("kill -9 $$")[0], 137)

    def test_is_private_and_leaves_nothing(self):
        before = leaks.snapshot([DIRECTORY])
        code, _, text = self.run_inside("set -e; ip link add x type bridge; mount -t tmpfs x /mnt; touch /run/x; hostname x; "
                                        "iptables -A INPUT -j DROP; touch $BERTH_ENV_DIR/x; "
                                        "for h in /sys/fs/cgroup/*/; do mkdir $h/x; done")
        self.assertEqual(code, 0, text)
        self.assertEqual(leaks.settle(before, lambda: leaks.snapshot([DIRECTORY])), {})

    def test_strict_calls_leftovers_an_error(self):
        code, _, text = self.run_inside("sleep 100 & exit 0", "--strict")
        self.assertEqual(code, 3)
        self.assertIn("sleep 100", text)
        first = sorted(label for label, _, _, _ in linux.hierarchies())[0]
        code, _, text = self.run_inside(f"mkdir /sys/fs/cgroup/{first}/left", "--strict")
        self.assertEqual(code, 3)
        self.assertIn("left", text)

    def test_ends_with_a_killed_supervisor(self):
        before = leaks.snapshot()
        child = subprocess.Popen([*ENVIRONMENT, "--", "sleep", "1000"], env=dict(os.environ, BERTH_TEST_BASE=DIRECTORY))
        deadline = time.monotonic() + 10
        while not any(name == "sleep" for name in leaks.processes().values()) and time.monotonic() < deadline:
            time.sleep(0.02)
        child.kill()
        child.wait()
        # Its cgroups and directory wait for the next run, which sweeps.
        self.assertEqual(leaks.settle({"processes": before["processes"]},
                                      lambda: {"processes": leaks.snapshot()["processes"]}), {})
        self.assertEqual(self.run_inside("exit 0")[0], 0)
        self.assertEqual(leaks.settle(before, leaks.snapshot), {})


class Tools(unittest.TestCase):
    def test_images_are_pushed_and_read_back(self):
        registry = Registry(DIRECTORY + "/registry")
        self.addCleanup(registry.stop)
        client = images.RegistryClient(registry.url)
        layer = images.busybox_layer(paths.busybox())
        image = images.Image([layer, *images.odd_layers()], {"Cmd": ["sh"]})
        other = images.Image([images.Layer().file("x", "y")], architecture="s390x")
        for thing, name in ((image, "one"), (images.Index([other, image]), "many"),
                            (images.Image(images.odd_layers(), compression="zstd"), "zstd"),
                            (images.Image(images.odd_layers(), media=images.DOCKER), "docker")):
            pushed = client.push(thing, "test/" + name, "latest")
            code, headers, body = client.request("GET", f"/v2/test/{name}/manifests/latest",
                                                 headers={"Accept": thing.media_type})
            self.assertEqual((code, images.digest(body), headers["Docker-Content-Digest"]), (200, pushed, pushed))
        self.assertEqual(image.digest, images.Image([images.busybox_layer(paths.busybox()), *images.odd_layers()],
                                                    {"Cmd": ["sh"]}).digest, "images must not change from run to run")

    def test_the_driver_tells_what_failed(self):
        with Cri(DIRECTORY + "/nobody.sock") as cri:
            with self.assertRaises(CriError) as raised:
                cri.call("Version", {}, timeout=2)
            self.assertIn(raised.exception.code, ("UNAVAILABLE", "DEADLINE_EXCEEDED"))
            for method, request in (("NoSuch", {}), ("Version", {"no_such_field": 1}), ("GetContainerEvents", {})):
                with self.assertRaises(CriError) as raised:
                    cri.call(method, request, timeout=2)
                self.assertEqual(raised.exception.code, "DRIVER")

    def test_reports_are_written_as_json(self):
        json.dumps(leaks.snapshot())


if __name__ == "__main__":
    suite.main()
