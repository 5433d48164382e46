"""Container images made from nothing but Debian's static busybox: built in memory, deterministic, pushed to a registry or
written as an OCI layout or docker-archive. Small on purpose; the odd ones (whiteouts, links, zstd) are there to be unpacked.
"""

import gzip
import hashlib
import http.client
import io
import json
import os
import subprocess
import tarfile
from urllib.parse import urlsplit

EPOCH = 1700000000
CREATED = "2023-11-14T22:13:20Z"
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]

OCI = {
    "config": "application/vnd.oci.image.config.v1+json",
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "index": "application/vnd.oci.image.index.v1+json",
    "tar": "application/vnd.oci.image.layer.v1.tar",
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}
DOCKER = {
    "config": "application/vnd.docker.container.image.v1+json",
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "index": "application/vnd.docker.distribution.manifest.list.v2+json",
    "gzip": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def to_json(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


class Layer:
    """A tar written entry by entry, then closed by `blob`."""

    def __init__(self):
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.PAX_FORMAT)

    def _add(self, name, kind, mode, owner=(0, 0), link="", data=b"", device=(0, 0), pax=None):
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.mtime, entry.linkname = kind, mode, EPOCH, link
        entry.uid, entry.gid = owner
        entry.devmajor, entry.devminor = device
        entry.size = len(data)
        entry.pax_headers = pax or {}
        self._tar.addfile(entry, io.BytesIO(data))
        return self

    def directory(self, name, mode=0o755, owner=(0, 0)):
        return self._add(name + "/", tarfile.DIRTYPE, mode, owner)

    def file(self, name, data, mode=0o644, owner=(0, 0), xattrs=None):
        pax = {f"SCHILY.xattr.{key}": value for key, value in (xattrs or {}).items()}
        return self._add(name, tarfile.REGTYPE, mode, owner, data=data if isinstance(data, bytes) else data.encode(), pax=pax)

    def symlink(self, name, target):
        return self._add(name, tarfile.SYMTYPE, 0o777, link=target)

    def hardlink(self, name, target):
        return self._add(name, tarfile.LNKTYPE, 0o755, link=target)

    def fifo(self, name):
        return self._add(name, tarfile.FIFOTYPE, 0o600)

    def character_device(self, name, major, minor):
        return self._add(name, tarfile.CHRTYPE, 0o666, device=(major, minor))

    def whiteout(self, name):
        folder, _, base = name.rpartition("/")
        return self.file((folder + "/" if folder else "") + ".wh." + base, b"")

    def opaque(self, folder):
        return self.file(folder + "/.wh..wh..opq", b"")

    def tar(self):
        self._tar.close()
        return self._buffer.getvalue()


class Ready:
    """A layer that was built before."""

    def __init__(self, tar):
        self._tar = tar

    def tar(self):
        return self._tar


def compress(tar, how):
    if how == "tar":
        return tar
    if how == "gzip":
        return gzip.compress(tar, compresslevel=6, mtime=0)
    return subprocess.run(["zstd", "-q", "-3", "-c"], input=tar, stdout=subprocess.PIPE, check=True).stdout


class Image:
    """Blobs, manifest and config of one image."""

    def __init__(self, layers, config=None, compression="gzip", media=None, architecture=ARCHITECTURE):
        self.media = media or OCI
        tars = [layer.tar() for layer in layers]
        self.blobs = {}
        descriptors = []
        for tar in tars:
            blob = compress(tar, compression)
            self.blobs[digest(blob)] = blob
            descriptors.append({"mediaType": self.media[compression], "digest": digest(blob), "size": len(blob)})
        document = {
            "architecture": architecture, "os": "linux", "created": CREATED,
            "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], **(config or {})},
            "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]},
            "history": [{"created": CREATED, "created_by": "tests/support/images.py"} for _ in tars],
        }
        self.config = to_json(document)
        self.id = digest(self.config)
        self.blobs[self.id] = self.config
        self.architecture = architecture
        self.manifest = to_json({
            "schemaVersion": 2, "mediaType": self.media["manifest"],
            "config": {"mediaType": self.media["config"], "digest": self.id, "size": len(self.config)},
            "layers": descriptors,
        })
        self.digest = digest(self.manifest)
        self.media_type = self.media["manifest"]
        self.manifests = {}

    def descriptor(self):
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.manifest),
                "platform": {"architecture": self.architecture, "os": "linux"}}


class Index:
    """Several images under one name, one per platform."""

    def __init__(self, images, media=None):
        self.media_type = (media or OCI)["index"]
        self.manifest = to_json({"schemaVersion": 2, "mediaType": self.media_type,
                                 "manifests": [image.descriptor() for image in images]})
        self.digest = digest(self.manifest)
        self.blobs = {key: blob for image in images for key, blob in image.blobs.items()}
        self.manifests = {image.digest: (image.media_type, image.manifest) for image in images}


PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\nweb:x:1000:1001::/srv:/bin/sh\n"
GROUP = "root:x:0:\nnogroup:x:65534:\nweb:x:1001:\nextra:x:2000:web\n"


def busybox_layer(busybox):
    """The root of a small system: busybox, its applets as hard links, users, the directories programs expect."""
    layer = Layer()
    for name in ("bin", "etc", "proc", "sys", "dev", "var", "usr", "usr/bin", "srv"):
        layer.directory(name)
    layer.directory("tmp", 0o1777).directory("root", 0o700)
    with open(busybox, "rb") as file:
        layer.file("bin/busybox", file.read(), 0o755)
    applets = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True, text=True).stdout.split()
    for applet in sorted(set(applets) - {"busybox"}):
        layer.hardlink("bin/" + applet, "bin/busybox")
    layer.file("etc/passwd", PASSWD).file("etc/group", GROUP)
    return layer


def odd_layers():
    """Two layers that exercise unpacking: the second hides, replaces, reopens and links what the first brought."""
    first = (Layer().directory("keep").file("keep/a", "first a").file("keep/b", "first b")
             .directory("gone").file("gone/x", "must vanish")
             .directory("opaque").file("opaque/old", "must vanish")
             .directory("swap").file("swap/inner", "a directory that becomes a file")
             .file("become", "a file that becomes a directory")
             .file("owned", "of a user", 0o640, (1000, 1001)).file("setuid", "s", 0o4755)
             .file("labelled", "x", xattrs={"user.berth": "yes"}))
    second = (Layer().whiteout("keep/a").whiteout("gone").directory("opaque").opaque("opaque").file("opaque/new", "stays")
              .file("swap", "now a file").directory("become").file("become/inner", "now inside")
              .directory("links").file("links/target", "one inode").hardlink("links/hard", "links/target")
              .symlink("links/soft", "target").symlink("links/absolute", "/keep/b").fifo("links/pipe")
              .character_device("links/zero", 1, 5))
    return [first, second]


class RegistryClient:
    """Pushes to a registry that speaks plain HTTP."""

    def __init__(self, url, authorization=None):
        parts = urlsplit(url)
        self.host = parts.netloc
        self._headers = {"Authorization": authorization} if authorization else {}

    def request(self, method, path, body=b"", headers=None):
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body=body, headers={**self._headers, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _want(self, status, method, path, body=b"", headers=None):
        got, answer_headers, text = self.request(method, path, body, headers)
        if got != status:
            raise RuntimeError(f"{method} {path}: {got}, not {status}: {text[:200]!r}")
        return answer_headers

    def push_blob(self, repository, name, data):
        if self.request("HEAD", f"/v2/{repository}/blobs/{name}")[0] == 200:
            return
        where = urlsplit(self._want(202, "POST", f"/v2/{repository}/blobs/uploads/")["Location"])
        query = (where.query + "&" if where.query else "") + "digest=" + name
        self._want(201, "PUT", f"{where.path}?{query}", data, {"Content-Type": "application/octet-stream"})

    def push(self, image, repository, *tags):
        """Pushes an Image or Index and returns its digest."""
        for name, data in image.blobs.items():
            self.push_blob(repository, name, data)
        for name, (kind, manifest) in image.manifests.items():
            self._want(201, "PUT", f"/v2/{repository}/manifests/{name}", manifest, {"Content-Type": kind})
        for tag in tags:
            self._want(201, "PUT", f"/v2/{repository}/manifests/{tag}", image.manifest, {"Content-Type": image.media_type})
        return image.digest


def write_oci_layout(image, path, name):
    """A directory in the layout of the OCI image specification."""
    os.makedirs(path + "/blobs/sha256")
    everything = dict(image.blobs)
    everything[image.digest] = image.manifest
    everything.update({key: manifest for key, (_, manifest) in image.manifests.items()})
    for key, data in everything.items():
        with open(f"{path}/blobs/{key.replace(':', '/')}", "wb") as file:
            file.write(data)
    with open(path + "/oci-layout", "wb") as file:
        file.write(to_json({"imageLayoutVersion": "1.0.0"}))
    with open(path + "/index.json", "wb") as file:
        file.write(to_json({"schemaVersion": 2, "manifests": [{
            "mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest),
            "annotations": {"org.opencontainers.image.ref.name": name}}]}))


def write_docker_archive(image, path, name):
    """What `docker save` writes; layers plain, as there. `image` must be made with compression="tar"."""
    manifest = json.loads(image.manifest)
    layers = [entry["digest"].split(":")[1] + ".tar" for entry in manifest["layers"]]
    config = image.id.split(":")[1] + ".json"
    with tarfile.open(path, "w") as tar:
        def add(member, data):
            entry = tarfile.TarInfo(member)
            entry.size, entry.mtime = len(data), EPOCH
            tar.addfile(entry, io.BytesIO(data))
        add(config, image.config)
        for entry, member in zip(manifest["layers"], layers):
            add(member, image.blobs[entry["digest"]])
        add("manifest.json", to_json([{"Config": config, "RepoTags": [name], "Layers": layers}]))
