"""The system calls that Python 3.11 does not offer, and facts read from /proc. Errors are OSError with what was tried."""

import ctypes
import errno
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SHARED = 1 << 20
MNT_DETACH = 2

PR_SET_PDEATHSIG = 1

# Numbers of system calls that glibc 2.36 has no wrapper for, the same on every architecture.
_OPEN_TREE, _MOVE_MOUNT = 428, 429
_PIVOT_ROOT = {"x86_64": 155}.get(os.uname().machine, 41)
_OPEN_TREE_CLONE, _AT_EMPTY_PATH, _AT_RECURSIVE = 1, 0x1000, 0x8000
_MOVE_MOUNT_F_EMPTY_PATH, _MOVE_MOUNT_T_EMPTY_PATH = 4, 0x40

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p]


def _check(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags):
    _check(_libc.unshare(flags), f"unshare({flags:#x})")


def mount(source, target, kind="", flags=0, options=""):
    _check(_libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode()),
           f"mounting {kind or source} on {target}")


def umount(target, flags=0):
    _check(_libc.umount2(target.encode(), flags), f"unmounting {target}")


def _syscall(what, number, *arguments):
    result = _libc.syscall(number, *(ctypes.c_long(one) if isinstance(one, int) else one for one in arguments))
    _check(0 if result >= 0 else result, what)
    return result


def own_mounts():
    """Enters a mount namespace of our own, nothing of which reaches another, and whose root is what "/" is now.

    In a chroot the namespace's root is another directory than "/", and whoever later enters the namespace would stand
    outside; so there "/" becomes a mount and the root of the namespace.
    """
    unshare(CLONE_NEWNS)
    try:
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
        return
    except OSError as error:
        if error.errno != errno.EINVAL:  # what a "/" that is no mount answers
            raise
    root, here = os.open("/", os.O_PATH | os.O_DIRECTORY), os.getcwd()
    namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    _check(_libc.setns(namespace, CLONE_NEWNS), "entering the root of the mount namespace")
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    tree = _syscall("open_tree", _OPEN_TREE, root, b"", _OPEN_TREE_CLONE | _AT_EMPTY_PATH | _AT_RECURSIVE | os.O_CLOEXEC)
    _syscall("move_mount", _MOVE_MOUNT, tree, b"", root, b"", _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH)
    os.fchdir(tree)
    _syscall("pivot_root", _PIVOT_ROOT, b".", b".")
    umount(".", MNT_DETACH)
    os.chroot(".")
    os.chdir(here)
    for fd in (root, namespace, tree):
        os.close(fd)


def set_parent_death_signal(signal):
    _check(_libc.prctl(PR_SET_PDEATHSIG, int(signal), 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def hierarchies():
    """The cgroup hierarchies of this kernel as (name below /sys/fs/cgroup, type, mount options, path of this process)."""
    found = []
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split(":", 2) for line in file]
    only_v2 = len(rows) == 1
    for number, controllers, path in rows:
        if number == "0":
            found.append(("" if only_v2 else "unified", "cgroup2", "", path))
        elif controllers.startswith("name="):
            found.append((controllers[len("name="):], "cgroup", "none," + controllers, path))
        else:
            found.append((controllers, "cgroup", controllers, path))
    return found


def filesystem_of(path):
    """The type of the filesystem that holds `path`, by the mount table."""
    path = os.path.realpath(path)
    best, kind = "", ""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            point = fields[4].encode().decode("unicode_escape")
            inside = path == point or path.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best):
                best, kind = point, fields[fields.index("-") + 1]
    return kind


def start_time(pid):
    """A process's start in clock ticks, which with its pid names it for good; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None
