"""Several Berths on one machine: none sees, disturbs or leaves anything of another's."""

import unittest

import node_case  # first: it says where the others are
import images
import leaks
import paths
import suite
from cri import container_config, pod_config
from daemon import Berthd, StartError
from node_case import IMAGE, PASSING, eventually, log_lines
from registry import Registry


class SideBySide(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = node_case.directory()
        registry = Registry(cls.top + "/registry")
        cls.addClassCleanup(registry.stop)
        image = images.Image([images.busybox_layer(paths.busybox())], {"Cmd": ["sh"]})
        images.RegistryClient(registry.url).push(image, "test/busybox", "1")

    def daemons(self, number):
        found = []
        for index in range(number):
            name = f"berth{index}"
            daemon = Berthd(f"{self.top}/{self.id()}-{name}", name=name, bridge=f"berth{index}", subnet=f"10.{90 + index}.0.0/16")
            self.addCleanup(daemon.close)
            daemon.start()
            daemon.cri.pull(IMAGE)
            found.append(daemon)
        return found

    def run_one(self, daemon, text):
        config = pod_config("same-name", log_directory=daemon.logs)
        pod = daemon.cri.run_pod(config)
        container = daemon.cri.create(pod, container_config("main", IMAGE, ["sh", "-c", f"echo {text}; sleep 1000"]), config)
        daemon.cri.start_container(container)
        return pod, container

    def test_each_has_its_own_pods(self):
        daemons = self.daemons(3)
        made = [self.run_one(daemon, f"of-{index}") for index, daemon in enumerate(daemons)]
        for index, daemon in enumerate(daemons):
            self.assertEqual([pod["id"] for pod in daemon.cri.pods()], [made[index][0]])
            address = daemon.cri.pod_status(made[index][0])["network"]["ip"]
            self.assertTrue(address.startswith(f"10.{90 + index}."), address)
            eventually(lambda d=daemon, i=index: log_lines(d.logs + "/main.0.log") == [f"of-{i}"], "its own log")
        # One dies and comes back, one goes for good: the third does not notice.
        daemons[0].kill()
        daemons[1].remove_all()
        daemons[1].stop()
        self.assertEqual(daemons[2].cri.exec_sync(made[2][1], ["hostname"])[1], b"same-name\n")
        daemons[0].start()
        self.assertEqual(daemons[0].cri.status(made[0][1])["state"], "CONTAINER_RUNNING")
        self.assertEqual(daemons[2].cri.status(made[2][1])["state"], "CONTAINER_RUNNING")

    def test_removing_everything_of_one_leaves_the_others(self):
        one, two = self.daemons(2)
        kept = self.run_one(two, "kept")

        def take():
            return leaks.snapshot([two.root, two.state, two.ipam], {"two": two.process.pid}, PASSING)
        warm = self.run_one(one, "warm")
        one.cri.remove_pod(warm[0])
        before = leaks.stable(take)
        for _ in range(5):
            pod, _ = self.run_one(one, "gone")
            one.cri.remove_pod(pod)
        changes = leaks.settle(before, take)
        self.assertFalse(changes, leaks.describe(changes))
        self.assertEqual(two.cri.status(kept[1])["state"], "CONTAINER_RUNNING")

    def test_one_root_has_one_daemon(self):
        (first,) = self.daemons(1)
        second = Berthd(f"{self.top}/{self.id()}-second", name="second")
        second.root = first.root
        self.addCleanup(second.close)
        with self.assertRaises(StartError) as raised:
            second.start(seconds=10)
        self.assertIn(first.root, str(raised.exception))
        self.assertIsNotNone(second.process.poll(), "it must say so and end")
        first.cri.call("Version", {})


if __name__ == "__main__":
    suite.main()
