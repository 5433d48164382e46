"""Pulling from a real registry: formats, credentials, mirrors, what unpacking makes of odd layers."""

import base64
import json
import os

import node_case  # first: it says where the others are
import images
import suite
from cri import CriError
from node_case import IMAGE, NodeCase, log_lines
from registry import Registry

RIGHT = "$2b$04$5HuMjN6If9gzzjqzBeiDSO7GOz7LX6.rolxBpl9f8HVVCdRt8CT5K"  # bcrypt of "right"

# What a container prints of the tree that the odd layers make.
LOOK = r"""
cd /; for f in keep/a gone opaque/old swap/inner; do [ -e $f ] && echo "$f exists"; done
cat keep/b; echo; cat opaque/new; echo; cat swap; echo; cat become/inner; echo
stat -c '%U %G %a %n' owned; stat -c '%a %n' setuid
[ links/hard -ef links/target ] && echo hard; readlink links/soft; readlink links/absolute
[ -p links/pipe ] && echo pipe; stat -c '%F %t %T' links/zero
"""
SEEN = ["first b", "stays", "now a file", "now inside", "web web 640 owned", "4755 setuid", "hard", "target", "/keep/b", "pipe",
        "character special file 1 5"]


class Images(NodeCase):
    def tearDown(self):
        self.daemon.remove_all()

    def output(self, image, script):
        pod = self.pod(host_network=True)
        container = self.container(pod, ["sh", "-c", script], image=image)
        status = self.exited(container)
        lines = log_lines(self.log_path(pod))
        self.assertEqual(status["exit_code"], 0, (lines, log_lines(self.log_path(pod), "stderr")))
        return lines

    def test_odd_layers_are_unpacked_as_they_say(self):
        for name, options in (("gzip", {}), ("zstd", {"compression": "zstd"}), ("plain", {"compression": "tar"}),
                              ("docker", {"media": images.DOCKER})):
            with self.subTest(format=name):
                reference = f"{node_case.REGISTRY}/formats/{name}:1"
                self.client.push(images.Image([self.base_layer(), *images.odd_layers()], **options), f"formats/{name}", "1")
                self.cri.pull(reference)
                self.assertEqual(self.output(reference, LOOK), SEEN)

    def test_an_index_gives_this_platforms_image(self):
        mine = images.Image([self.base_layer(), images.Layer().file("which", "mine\n")])
        other = images.Image([images.Layer().file("which", "other")], architecture="s390x")
        index = images.Index([other, mine])
        self.client.push(index, "test/index", "1")
        ref = self.cri.pull(f"{node_case.REGISTRY}/test/index:1")
        self.assertEqual(self.output(f"{node_case.REGISTRY}/test/index:1", "cat /which"), ["mine"])
        status = self.cri.call("ImageStatus", {"image": {"image": f"{node_case.REGISTRY}/test/index@{index.digest}"}})
        self.assertEqual(status["image"]["id"], self.cri.call("ImageStatus", {"image": {"image": ref}})["image"]["id"])

    def test_layers_are_stored_once(self):
        for number in range(3):
            self.client.push(images.Image([self.base_layer(), images.Layer().file("n", str(number))]), f"test/shared{number}", "1")

        def stored():
            return sum(os.lstat(os.path.join(path, name)).st_size for path, _, names in os.walk(self.daemon.root)
                       for name in names if os.lstat(os.path.join(path, name)).st_nlink < 50)
        self.cri.pull(f"{node_case.REGISTRY}/test/shared0:1")
        before = stored()
        for number in (1, 2):
            self.cri.pull(f"{node_case.REGISTRY}/test/shared{number}:1")
        self.assertLess(stored() - before, 500_000, "the base layer must not be there again")

    def test_a_missing_image_is_not_found(self):
        with self.assertRaises(CriError) as raised:
            self.cri.pull(f"{node_case.REGISTRY}/test/busybox:nothing")
        self.assertEqual(raised.exception.code, "NOT_FOUND")
        self.assertNotIn("image", {key for key, value in self.cri.call(
            "ImageStatus", {"image": {"image": f"{node_case.REGISTRY}/no/such:1"}}).items() if value and key == "image"})

    def test_an_image_with_a_wrong_layer_is_refused(self):
        image = images.Image([self.base_layer(), images.Layer().file("a", "b")])
        document = json.loads(image.config)
        document["rootfs"]["diff_ids"][1] = "sha256:" + "0" * 64
        config = images.to_json(document)
        manifest = json.loads(image.manifest)
        manifest["config"].update(digest=images.digest(config), size=len(config))
        image.blobs[images.digest(config)] = config
        image.manifest = images.to_json(manifest)
        self.client.push(image, "test/wrong", "1")
        self.cri.pull(IMAGE)
        before = self.baseline()
        with self.assertRaises(CriError):
            self.cri.pull(f"{node_case.REGISTRY}/test/wrong:1")
        self.assertEqual(self.cri.call("ListImages", {"filter": {"image": {"image": f"{node_case.REGISTRY}/test/wrong:1"}}})["images"], [])
        self.assert_nothing_left(before)

    def test_removal_gives_the_space_back(self):
        reference = f"{node_case.REGISTRY}/test/passing:1"
        self.client.push(images.Image([self.base_layer(), images.Layer().file("passing", "by")]), "test/passing", "1")
        self.cri.pull(IMAGE)
        before = self.baseline()
        self.cri.pull(reference)
        self.assertNotEqual(self.take()["files"], before["files"])
        self.cri.call("RemoveImage", {"image": {"image": reference}})
        self.cri.call("RemoveImage", {"image": {"image": reference}})
        self.assert_nothing_left(before)

    def test_credentials_are_asked_for_and_used(self):
        with open(self.directory + "/htpasswd", "w", encoding="utf-8") as file:
            file.write("user:" + RIGHT + "\n")
        closed = Registry(self.directory + "/closed", 5001,
                          f"auth: {{ htpasswd: {{ realm: test, path: {self.directory}/htpasswd }} }}")
        self.addCleanup(closed.stop)
        token = base64.b64encode(b"user:right").decode()
        images.RegistryClient(closed.url, "Basic " + token).push(
            images.Image([images.Layer().file("a", "b")]), "private/one", "1")
        reference = "127.0.0.1:5001/private/one:1"
        for auth in (None, {"username": "user", "password": "wrong"}):
            with self.assertRaises(CriError) as raised:
                self.cri.pull(reference, auth)
            self.assertIn(raised.exception.code, ("UNAUTHENTICATED", "PERMISSION_DENIED"))
        self.assertTrue(self.cri.pull(reference, {"username": "user", "password": "right"}))
        self.assertTrue(self.cri.pull(reference, {"auth": token}))
        with open(self.daemon.log_path, encoding="utf-8") as file:
            log = file.read()
        self.assertNotIn(token, log)
        self.assertNotIn("wrong", log.replace("test/wrong", ""))

    def test_a_mirror_stands_in_for_a_registry(self):
        host = self.daemon.directory + "/certs.d/registry.example.com"
        os.makedirs(host)
        with open(host + "/hosts.toml", "w", encoding="utf-8") as file:
            file.write(f'server = "http://127.0.0.1:1"\n\n[host."{self.registry.url}"]\n'
                       'capabilities = ["pull", "resolve"]\n')
        ref = self.cri.pull("registry.example.com/test/busybox:1")
        status = self.cri.call("ImageStatus", {"image": {"image": ref}})["image"]
        self.assertIn("registry.example.com/test/busybox:1", status["repo_tags"])
        self.assertEqual(self.output("registry.example.com/test/busybox:1", "echo mirrored"), ["mirrored"])


if __name__ == "__main__":
    suite.main()
