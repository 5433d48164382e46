"""`berth`, the command for people, against a running node; and what the daemon tells Prometheus."""

import json
import os
import subprocess
import tarfile
import time
import urllib.request

import node_case  # first: it says where the others are
import images
import paths
import suite
from node_case import IMAGE, NodeCase, eventually

METRICS = "127.0.0.1:9477"


class Cli(NodeCase):
    config = {"metrics": {"address": METRICS}}

    def berth(self, *arguments, code=0, **keywords):
        done = subprocess.run([paths.berth(), "--socket", self.daemon.socket, *arguments], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, timeout=60, **keywords)
        self.assertEqual(done.returncode, code, f"berth {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout if code == 0 else done.stderr

    def test_a_container_is_run_and_looked_at(self):
        self.assertEqual(self.berth("run", "--rm", "--network", "host", IMAGE, "echo", "hello"), "hello\n")
        self.assertEqual(self.berth("run", "--rm", IMAGE, "sh", "-c", "exit 7", code=7), "")
        name = self.name("cli")
        container = self.berth("run", "-d", "--name", name, "-e", "GREETING=hi", IMAGE, "sh", "-c",
                               "echo $GREETING; sleep 1000").strip()
        self.assertEqual(len(container), 64)
        self.assertIn(name, self.berth("container", "ls"))
        eventually(lambda: self.berth("container", "logs", name) == "hi\n", "the log")
        self.assertEqual(self.berth("exec", name, "sh", "-c", "echo $GREETING"), "hi\n")
        self.berth("exec", name, "false", code=1)
        listed = json.loads(self.berth("--output", "json", "container", "ls", "-a"))
        self.assertIn(container, [one["id"] for one in listed["containers"]])
        self.assertIn(name, self.berth("container", "rm", name, code=1), "a running one is not removed unasked")
        self.berth("container", "stop", "-t", "0", name)
        self.assertNotIn(name, self.berth("container", "ls"))
        self.berth("container", "rm", name)
        self.assertEqual(self.cri.pods(), [], "its pod went with it")

    def test_volumes_limits_and_ports(self):
        volume = self.directory + "/volume"
        os.makedirs(volume)
        name = self.name("limits")
        self.berth("run", "-d", "--name", name, "-v", volume + ":/data", "-p", "18081:7000", "--memory", "64m", "--cpus", "0.5",
                   IMAGE, "sh", "-c", "echo kept >/data/file; nc -ll -p 7000 -e echo reached")
        eventually(lambda: os.path.exists(volume + "/file"), "the file in the volume")
        status = json.loads(self.berth("container", "inspect", name))
        resources = status.get("status", status)["resources"]["linux"]
        self.assertEqual((int(resources["memory_limit_in_bytes"]), int(resources["cpu_quota"])), (64 << 20, 50000))
        self.berth("container", "rm", "-f", name)

    def test_images_come_and_go(self):
        reference = f"{node_case.REGISTRY}/test/cli:1"
        self.client.push(images.Image([self.base_layer(), images.Layer().file("cli", "x")], {"Cmd": ["sh"]}), "test/cli", "1", "2")
        self.assertIn("sha256:", self.berth("pull", reference))
        self.berth("pull", f"{node_case.REGISTRY}/test/cli:2")
        self.assertIn("test/cli", self.berth("image", "ls"))
        json.loads(self.berth("image", "inspect", reference))
        name = self.name("user")
        self.berth("container", "create", "--name", name, reference, "true")
        # One of two tags may go; the last one is in use.
        self.berth("image", "rm", f"{node_case.REGISTRY}/test/cli:2")
        self.assertRegex(self.berth("image", "rm", reference, code=1), "used by container")
        self.berth("container", "rm", name)
        self.berth("image", "rm", reference)
        self.assertNotIn("test/cli", self.berth("image", "ls"))
        self.assertIn("nobody", self.berth("pull", f"{node_case.REGISTRY}/nobody/nothing:1", code=1))

    def test_archives_are_imported(self):
        image = images.Image([self.base_layer(), images.Layer().file("from", "layout")], {"Cmd": ["cat", "/from"]})
        layout = self.directory + "/layout"
        images.write_oci_layout(image, layout, "imported/oci:1")
        with tarfile.open(layout + ".tar", "w") as tar:
            tar.add(layout, ".")
        plain = images.Image([self.base_layer(), images.Layer().file("from", "archive")], {"Cmd": ["cat", "/from"]},
                             compression="tar", media={**images.DOCKER, "tar": images.OCI["tar"]})
        images.write_docker_archive(plain, self.directory + "/archive.tar", "imported/docker:1")
        for archive, name, text in (("layout.tar", "imported/oci:1", "layout"), ("archive.tar", "imported/docker:1", "archive")):
            arguments = ("-t", name) if "oci" in name else ()
            self.assertIn("imported/", self.berth("image", "import", *arguments, f"{self.directory}/{archive}"))
            self.assertEqual(self.berth("run", "--rm", "--network", "host", name), text)
            self.berth("image", "rm", name)

    def test_mistakes_are_told_with_exit_codes(self):
        self.assertIn("no-such", self.berth("container", "logs", "no-such", code=1))
        self.assertIn("unknown command", self.berth("frobnicate", code=2))
        done = subprocess.run([paths.berth(), "--socket", self.directory + "/none.sock", "version"], stderr=subprocess.PIPE,
                              text=True, check=False, timeout=30)
        self.assertEqual(done.returncode, 1)
        self.assertIn("none.sock", done.stderr)

    def test_metrics_are_what_prometheus_wants(self):
        pod = self.pod(host_network=True)
        self.remove(pod)
        time.sleep(0.1)  # the last call is counted after it was answered
        with urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        for part in ('RunPodSandbox', 'RemovePodSandbox', "build_info", "_bucket{"):
            self.assertIn(part, text)
        done = subprocess.run([paths.unpacked("prometheus", "usr/bin/promtool"), "check", "metrics"], input=text,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))


if __name__ == "__main__":
    suite.main()
