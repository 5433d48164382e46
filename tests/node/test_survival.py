"""kill -9 of berthd under churn and at every failpoint: no container dies, no exit code or line is lost, nothing leaks."""

import os
import random
import re
import time

from node_case import ODD, TOP, NodeCase, eventually  # first: it says where the others are
import suite
from churn import Churn
from cri import CriError

INSTANTS = int(os.environ.get("BERTH_KILLS", "50"))
ONLY = os.environ.get("BERTH_FAILPOINT", "")  # a part of the names of interest
SEED = int(os.environ.get("BERTH_SEED", "1"))
NAME = re.compile(r'\s*"([a-z0-9_.\-]+)",')


def failpoints():
    """Every failpoint's name, from the headers that list them."""
    names = []
    for path in ("imagesvc/failpoints.h", "runtime/failpoints.h", "runtime/network/failpoints.h"):
        with open(os.path.join(TOP, path), encoding="utf-8") as file:
            names += [match.group(1) for match in map(NAME.match, file) if match]
    return sorted(set(names))


class Survival(NodeCase):
    def test_fifty_kills_under_churn(self):
        self.warm_up()
        self.cri.pull(ODD)
        self.cri.call("RemoveImage", {"image": {"image": ODD}})
        self.daemon.stop()
        self.daemon.start()  # what a daemon holds that has recovered, not one that has pulled
        before = self.baseline()
        churn = Churn(self.daemon, SEED)
        keepers = [churn.make_writer(churn.make_pod(churn.random, host), None, 0) for host in (True, False)]
        chance = random.Random(SEED)
        restarts = []
        for round_ in range(INSTANTS):
            with self.subTest(seed=SEED, round=round_):
                churn.run_until_killed(chance.uniform(0.01, 0.6), self.daemon.kill)
                time.sleep(chance.uniform(0, 0.2))  # what happens without a daemon must be learned too
                restarts.append(self.daemon.start())
                churn.check(self)
                if round_ % 5 == 4:
                    self.remove_others(churn, keepers)
        for keeper in keepers:
            churn.check_keeper(self, keeper)
        churn.remove_everything()
        self.assert_nothing_left(before, 20)
        print(f"{INSTANTS} kills during {churn.operations} operations; up again after "
              f"{sorted(restarts)[len(restarts) // 2]:.3f} s (median), {max(restarts):.3f} s (most)")

    @staticmethod
    def remove_others(churn, keepers):
        """Keeps the node small; the removal itself is churn as well."""
        kept = {keeper.pod.id for keeper in keepers}
        for pod in churn.daemon.cri.pods():
            if pod["id"] not in kept:
                churn.daemon.cri.stop_pod(pod["id"])
                churn.daemon.cri.remove_pod(pod["id"])
        churn.pods = [keeper.pod for keeper in keepers]


class Failpoints(NodeCase):
    """Each named step of a lifecycle, once as an error and once as a death."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.warm_up()
        cls.reached = set()

    def lifecycle(self, seed):
        """One of everything; stops at the first call that fails. Returns the error or None."""
        churn = Churn(self.daemon, seed)
        try:
            self.cri.call("PullImage", {"image": {"image": ODD}}, timeout=30)
            pod = churn.make_pod(churn.random, host_network=False)
            writer = churn.make_writer(pod, 3, 7)
            self.cri.exec_sync(churn.make_writer(pod, None, 0).id, ["true"])
            eventually(lambda: self.cri.status(writer.id)["state"] == "CONTAINER_EXITED", "the writer's exit")
            self.cri.call("ReopenContainerLog", {"container_id": pod.writers[1].id}, timeout=30)
            churn.remove_pod(pod)
            self.cri.call("RemoveImage", {"image": {"image": ODD}}, timeout=30)
        except Exception as error:  # pylint: disable=broad-except
            return churn, error
        return churn, None

    def hits(self):
        try:
            with open(self.daemon.hits, encoding="utf-8") as file:
                return file.read().split()
        except FileNotFoundError:
            return []

    def ended(self, seconds=2):
        """Whether the daemon has died, soon."""
        deadline = time.monotonic() + seconds
        while self.daemon.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.daemon.process.poll() is not None

    def reach(self, name, what, seed):
        """Brings a daemon with this failpoint to it: by a lifecycle, or by a recovery with things to recover."""
        if os.path.exists(self.daemon.hits):
            os.unlink(self.daemon.hits)
        self.daemon.start(f"{name}={what}")
        churn, _ = self.lifecycle(seed)
        if name in self.hits():
            return churn
        # Not on the way of a lifecycle: then of a start that finds running, exited and half-made things.
        if self.ended(0):
            self.fail(f"the daemon died without reaching {name}: {self.daemon.log_tail()}")
        self.daemon.stop()
        self.daemon.start()
        churn = Churn(self.daemon, seed + 1000)
        churn.make_writer(churn.make_pod(churn.random, host_network=False), 20, 3)
        churn.make_writer(churn.make_pod(churn.random, host_network=True), None, 0)
        self.daemon.kill()
        self.daemon.spawn(f"{name}={what}")
        eventually(lambda: name in self.hits() or self.answers(), f"{name} or an answer", 15)
        return churn

    def answers(self):
        try:
            self.cri.call("Version", {}, timeout=1)
            return True
        except CriError:
            return False

    def one(self, name, what, seed):
        churn = self.reach(name, what, seed)
        self.assertIn(name, self.hits(), "was never reached")
        self.reached.add((name, what))
        if what == "kill":
            self.assertTrue(self.ended(), "the failpoint did not kill")
            self.daemon.start()
            churn.check(self)
        self.assertIsNone(self.daemon.process.poll(), "the daemon did not live through it")
        churn.remove_everything()

    def go_through(self, what):
        names = [name for name in failpoints() if ONLY in name]
        self.assertGreater(len(failpoints()), 20, "the lists of failpoints were not understood")
        first = {"kill": 1000, "error": 5000}[what]  # names of pods come from the seed, and must differ
        churn, error = self.lifecycle(first)
        self.assertIsNone(error, "a lifecycle without a failpoint")
        churn.remove_everything()
        before = self.baseline()
        self.daemon.stop()
        for seed, name in enumerate(names, first + 1):
            with self.subTest(failpoint=name, what=what):
                try:
                    self.one(name, what, seed)
                    self.assert_nothing_left(before)
                finally:
                    if self.daemon.process.poll() is None:
                        self.daemon.stop()
        self.daemon.start()
        missing = [name for name in names if (name, what) not in self.reached]
        self.assertEqual(missing, [], "failpoints that nothing reached")
        print(f"{len(names)} failpoints reached as {what}")

    def test_kill_at_each(self):
        self.go_through("kill")

    def test_error_at_each(self):
        self.go_through("error")


if __name__ == "__main__":
    suite.main()
