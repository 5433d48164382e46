"""Where the pieces that tests run are found."""

import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def unpacked(package, path):
    """A file of a Debian package that tests/support/deps unpacked."""
    found = os.path.join(TOP, ".cache/debian", package, path)
    if not os.path.exists(found):
        raise FileNotFoundError(f"{found}: run tests/support/deps first")
    return found


def busybox():
    return unpacked("busybox-static", "bin/busybox")


def build():
    """The build directory that ctest or make named."""
    return os.environ.get("BERTH_BUILD", os.path.join(TOP, "build/dev"))


def berthd():
    return os.path.join(build(), "server/berthd")


def shim():
    return os.path.join(build(), "runtime/shim/berth-shim")


def berth():
    return os.path.join(build(), "cli/berth")


def cri_driver():
    return os.path.join(build(), "tests/support/cri-driver")
