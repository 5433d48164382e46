"""Pods and containers through CRI on a real node: network, logs, exec, exits, and every leftover at the end."""

import json
import os
import socket
import threading
import time

import node_case  # first: it says where the others are
import suite
from cri import CriError, pod_config
from node_case import NodeCase, eventually, log_lines


class Pods(NodeCase):
    def code_of(self, method, request):
        with self.assertRaises(CriError) as raised:
            self.cri.call(method, request)
        return raised.exception.code

    def test_version_and_status(self):
        version = self.cri.call("Version", {})
        self.assertEqual(version["runtime_api_version"], "v1")
        self.assertTrue(all(version[key] for key in ("version", "runtime_name", "runtime_version")), version)
        conditions = {one["type"]: one["status"] for one in self.cri.call("Status", {})["status"]["conditions"]}
        self.assertEqual(conditions, {"RuntimeReady": True, "NetworkReady": True})

    def test_a_pods_whole_life(self):
        pod = self.pod(annotations={"note": "ünïcode"})
        status = self.cri.pod_status(pod[0])
        self.assertEqual(status["state"], "SANDBOX_READY")
        self.assertTrue(status["network"]["ip"].startswith("10.86."), status["network"])
        self.assertEqual(status["annotations"], {"note": "ünïcode"})
        container = self.container(pod, ["sh", "-c", "echo out; echo err >&2; trap 'exit 9' TERM; while :; do sleep 0.05; done"])
        self.assertEqual(self.cri.status(container)["state"], "CONTAINER_RUNNING")
        eventually(lambda: log_lines(self.log_path(pod)) == ["out"], "the line on stdout")
        self.assertEqual(log_lines(self.log_path(pod), "stderr"), ["err"])
        self.cri.stop_container(container, 10)
        status = self.cri.status(container)
        self.assertEqual((status["state"], status["exit_code"], status["reason"]), ("CONTAINER_EXITED", 9, "Error"))
        self.assertGreaterEqual(int(status["finished_at"]), int(status["started_at"]))
        self.assertGreaterEqual(int(status["started_at"]), int(status["created_at"]))
        self.remove(pod)
        self.assertEqual(self.code_of("PodSandboxStatus", {"pod_sandbox_id": pod[0]}), "NOT_FOUND")
        self.assertEqual(self.code_of("ContainerStatus", {"container_id": container}), "NOT_FOUND")
        for method in ("StopPodSandbox", "RemovePodSandbox"):
            self.cri.call(method, {"pod_sandbox_id": pod[0]})
        for method in ("StopContainer", "RemoveContainer"):
            self.cri.call(method, {"container_id": container})

    def test_exec_sync_tells_output_and_exit_code(self):
        pod = self.pod(host_network=True)
        container = self.container(pod, ["sleep", "1000"])
        self.assertEqual(self.cri.exec_sync(container, ["sh", "-c", "echo a; echo b >&2; exit 3"]), (3, b"a\n", b"b\n"))
        self.assertEqual(self.cri.exec_sync(container, ["true"]), (0, b"", b""))
        with self.assertRaises(CriError) as raised:
            self.cri.exec_sync(container, ["sleep", "60"], timeout=1)
        self.assertEqual(raised.exception.code, "DEADLINE_EXCEEDED")
        eventually(lambda: not node_case.processes_running("60"), "the timed out command is gone")
        with self.assertRaises(CriError):
            self.cri.exec_sync(container, ["/no/such/program"])
        self.remove(pod)

    def test_oom_is_recognised(self):
        pod = self.pod(host_network=True)
        container = self.container(pod, ["sh", "-c", "x=a; while :; do x=$x$x; done"],
                                   linux={"resources": {"memory_limit_in_bytes": 16 << 20}})
        status = self.exited(container, 30)
        self.assertEqual((status["exit_code"], status["reason"]), (137, "OOMKilled"))
        self.remove(pod)

    def test_a_host_port_leads_to_the_pod(self):
        pod = self.pod(port_mappings=[{"container_port": 7000, "host_port": 18080, "protocol": "TCP"}])
        self.container(pod, ["nc", "-ll", "-p", "7000", "-e", "echo", "reached"])

        def reached():
            try:
                # The bridge's own address is an address of the node.
                with socket.create_connection(("10.86.0.1", 18080), 1) as connection:
                    return connection.recv(100)
            except OSError:
                return b""
        self.assertEqual(eventually(reached, "the host port answers"), b"reached\n")
        self.remove(pod)

    def test_a_log_is_reopened(self):
        pod = self.pod(host_network=True)
        container = self.container(pod, ["sh", "-c", "i=0; while :; do echo $i; i=$((i+1)); usleep 2000; done"])
        path = self.log_path(pod)
        eventually(lambda: os.path.getsize(path) > 1000, "the log grows")
        os.rename(path, path + ".old")
        self.cri.call("ReopenContainerLog", {"container_id": container})
        eventually(lambda: os.path.exists(path) and os.path.getsize(path) > 1000, "the new log grows")
        self.cri.stop_container(container)
        lines = log_lines(path + ".old") + log_lines(path)
        self.assertEqual(lines, [str(number) for number in range(len(lines))], "no line is lost or told twice")
        self.assertNotEqual(self.code_of("ReopenContainerLog", {"container_id": container}), "OK")
        self.remove(pod)

    def test_stats_are_counted(self):
        pod = self.pod(host_network=True)
        container = self.container(pod, ["sh", "-c", "while :; do :; done"])
        first = self.cri.call("ContainerStats", {"container_id": container})["stats"]
        eventually(lambda: int(self.cri.call("ContainerStats", {"container_id": container})["stats"]["cpu"]
                               ["usage_core_nano_seconds"]["value"]) >
                   int(first["cpu"]["usage_core_nano_seconds"]["value"]) + 50_000_000, "50 ms of CPU")
        self.assertGreater(int(first["memory"]["working_set_bytes"]["value"]), 0)
        self.remove(pod)

    def test_ids_may_be_short_and_filters_are_conjunctions(self):
        one, two = self.pod(host_network=True), self.pod(host_network=True)
        self.assertEqual([pod["id"] for pod in self.cri.pods(id=one[0][:12])], [one[0]])
        self.assertEqual(self.cri.pods(id=one[0], label_selector=two[1]["labels"]), [])
        self.assertEqual(self.cri.pods(id="f" * 64), [])
        self.assertEqual(self.cri.pod_status(two[0][:12])["id"], two[0])
        self.remove(one)
        self.remove(two)

    def test_what_is_not_built_answers_unimplemented(self):
        self.assertEqual(self.code_of("CheckpointContainer", {"container_id": "x"}), "UNIMPLEMENTED")

    def test_a_failed_start_tells_why(self):
        pod = self.pod(host_network=True)
        container = self.container(pod, ["/no/such/program"], start=False)
        with self.assertRaises(CriError) as raised:
            self.cri.start_container(container)
        self.assertIn("/no/such/program", raised.exception.message)
        self.assertEqual(self.cri.status(container)["state"], "CONTAINER_EXITED")
        self.remove(pod)

    def test_the_same_name_twice_is_refused(self):
        pod = self.pod(host_network=True)
        with self.assertRaises(CriError):
            self.cri.run_pod(dict(pod[1], labels={"other": "request"}))
        self.assertEqual(self.cri.pod_status(pod[0])["state"], "SANDBOX_READY")
        self.remove(pod)


class Fifty(NodeCase):
    """Fifty pods on CNI at once, and nothing of them left."""

    def test_fifty_pods_come_and_go(self):
        self.warm_up()
        before = self.baseline()
        began = time.monotonic()
        pods, lock, problems = [], threading.Lock(), []

        def work(count):
            try:
                for _ in range(count):
                    pod = self.pod("many")
                    container = self.container(pod, ["sh", "-c", "hostname; sleep 1000"])
                    with lock:
                        pods.append((pod, container))
            except Exception as error:  # pylint: disable=broad-except
                problems.append(error)
        threads = [threading.Thread(target=work, args=(5,)) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(problems, [])
        took = time.monotonic() - began
        statuses = [self.cri.pod_status(pod[0]) for pod, _ in pods]
        addresses = {status["network"]["ip"] for status in statuses}
        self.assertEqual(len(addresses), 50, "every pod has an address of its own")
        self.assertTrue(all(status["state"] == "SANDBOX_READY" for status in statuses))
        for pod, _ in pods:
            eventually(lambda p=pod: log_lines(self.log_path(p)) == [p[1]["hostname"]], "each pod's own host name")
        self.assertEqual(len(self.cri.containers(state={"state": "CONTAINER_RUNNING"})), 50)
        self.assertEqual(len(self.cri.pods()), 50)
        host_mounts = leaks_mounts()
        calls = [self.cri.start("RemovePodSandbox", {"pod_sandbox_id": pod[0]}) for pod, _ in pods]
        for call in calls:
            call.result()
        self.assertEqual(self.cri.pods(), [])
        self.assert_nothing_left(before)
        print(f"50 pods and containers on CNI in {took:.1f} s, {host_mounts} mounts on the host meanwhile")


def leaks_mounts():
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return len(file.readlines())


class Trouble(NodeCase):
    """CNI that is slow, and CNI that fails half way."""

    config = {"lanes": {"lifecycle": 4}}

    @classmethod
    def setUpClass(cls):
        cls.plugins = os.path.join(node_case.directory(), "plugins")
        os.makedirs(cls.plugins)
        cls.config = {"network": {"plugin_dirs": [cls.plugins, "/usr/lib/cni"]}}
        cls.write_plugin("cat >/dev/null; exit 0")
        super().setUpClass()
        cls.warm_up()

    @classmethod
    def write_plugin(cls, script):
        """A plugin at the end of the chain that passes on what it got, after `script`."""
        path = cls.plugins + "/trouble"
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + script + "\n")
        os.chmod(path + ".new", 0o755)
        os.rename(path + ".new", path)

    def chain(self, script):
        """The network with the troublesome plugin behind the bridge; berthd sees the change by itself."""
        self.write_plugin(script)
        path = self.daemon.directory + "/cni/10-test.conflist"
        with open(path, encoding="utf-8") as file:
            network = json.load(file)
        plain = json.dumps(network)
        network["plugins"].append({"type": "trouble"})
        self.replace(path, json.dumps(network))
        self.addCleanup(self.replace, path, plain)
        time.sleep(0.5)  # the reload is watched, not asked for; there is no call that tells it happened

    @staticmethod
    def replace(path, text):
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(path + ".new", path)

    def test_a_plugin_that_fails_half_way_leaves_nothing(self):
        self.chain('cat >/dev/null; [ "$CNI_COMMAND" != ADD ] || { echo \'{"code": 100, "msg": "made to fail"}\'; exit 1; }')
        before = self.baseline()
        with self.assertRaises(CriError) as raised:
            self.pod("broken")
        self.assertIn("made to fail", raised.exception.message)
        self.assertEqual(self.cri.pods(), [])
        self.assert_nothing_left(before)

    def test_a_slow_plugin_delays_no_list(self):
        self.chain('cat >/dev/null; [ "$CNI_COMMAND" != ADD ] || { sleep 3; echo \'{"code": 100, "msg": "slow"}\'; exit 1; }')
        before = self.baseline()
        configs = [pod_config(self.name("slow")) for _ in range(8)]
        calls = [self.cri.start("RunPodSandbox", {"config": config}) for config in configs]
        time.sleep(0.3)  # the plugin sleeps by now; more of them than there are threads for it changes nothing
        waits = []
        for _ in range(20):
            began = time.monotonic()
            self.cri.pods()
            self.cri.call("Status", {})
            waits.append(time.monotonic() - began)
        self.assertFalse(any(call.done() for call in calls), "the plugin was not slow")
        self.assertTrue(all(call.exception() is not None for call in calls))
        self.assertLess(sorted(waits)[len(waits) // 2], 0.1, waits)
        self.assertLess(max(waits), 1.0, waits)
        self.assert_nothing_left(before)


if __name__ == "__main__":
    suite.main()
