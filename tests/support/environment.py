"""environment.py [--strict] [--keep] COMMAND...: runs COMMAND on a machine of its own; the exit status is COMMAND's.

Its own are: mounts (/run, /sys, /dev/shm and CNI's directory are fresh), network (loopback only), processes, IPC,
hostname, and a subtree of each cgroup hierarchy that looks like the root from inside. All of it ends with COMMAND, also
when this program is killed; what COMMAND left running or left in its cgroups is told on stderr, and is an error (exit 3)
with --strict. BERTH_ENV_DIR names a private directory on a filesystem that overlay can write to.

Three processes: the supervisor (makes and removes cgroups and the directory), a middle one that enters the namespaces
(the PID namespace takes effect for its child only), and process 1 inside, which reaps.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import linux  # pylint: disable=wrong-import-position

PREFIX = "berth-env-"
CGROUP_FS = "/sys/fs/cgroup"


def say(text):
    print(f"environment: {text}", file=sys.stderr, flush=True)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


class Cgroups:
    """A subtree of our own in every hierarchy, reached through mounts of our own (a bare chroot has none)."""

    def __init__(self, staging, name):
        self.dirs = {}  # name of the hierarchy -> our directory in it
        self.enabled = []  # controllers that we switched on at the root of a v2-only machine
        os.mkdir(staging)
        linux.mount("tmpfs", staging, "tmpfs", options="mode=700")
        for label, kind, options, path in linux.hierarchies():
            point = os.path.join(staging, label or "unified")
            os.mkdir(point)
            linux.mount("cgroup", point, kind, options=options)
            # On a v2-only machine a session's own cgroup holds processes, so controllers cannot be passed below it.
            parent = point if not label else point + path
            own = os.path.join(parent, name)
            if not label:
                self._enable_at_root(point)
            os.mkdir(own)
            self.dirs[label] = own
            if "cpuset" in options.split(","):
                for file in ("cpuset.cpus", "cpuset.mems"):
                    write(os.path.join(own, file), read(os.path.join(parent, file)))

    def _enable_at_root(self, point):
        self.root_control = os.path.join(point, "cgroup.subtree_control")
        have = read(self.root_control).split()
        for controller in read(os.path.join(point, "cgroup.controllers")).split():
            if controller not in have:
                write(self.root_control, "+" + controller)
                self.enabled.append(controller)

    def enter(self):
        for own in self.dirs.values():
            write(os.path.join(own, "cgroup.procs"), "0")

    def below(self):
        """Directories that the command left."""
        left = []
        for label, own in self.dirs.items():
            for path, names, _ in os.walk(own):
                left += [os.path.join(label, os.path.relpath(os.path.join(path, name), own)) for name in names]
        # The leaf that process 1 makes for itself on a v2-only machine.
        return sorted(name for name in left if name != "env")

    def remove(self):
        for own in self.dirs.values():
            remove_cgroup(own)
        for controller in self.enabled:
            write(self.root_control, "-" + controller)


def remove_cgroup(top):
    """Removes a cgroup and all below it; processes that die take a moment to leave it."""
    deadline = time.monotonic() + 10
    while True:
        for path, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(path)
            except OSError:
                pass
        if not os.path.isdir(top):
            return
        if time.monotonic() > deadline:
            say(f"could not remove the cgroup {top}")
            return
        time.sleep(0.05)


def sweep(base):
    """Removes what killed runs left: directories whose owner is gone. Their cgroups are found by name."""
    for name in os.listdir(base):
        path = os.path.join(base, name)
        owner = os.path.join(path, "owner")
        if not name.startswith(PREFIX) or not os.path.exists(owner):
            continue
        fields = read(owner).split()
        if len(fields) == 2 and linux.start_time(fields[0]) != int(fields[1]) and not os.path.exists(path + "/kept"):
            say(f"removing {path}, left by a run that was killed")
            for label, _, _, own in linux.hierarchies():
                for parent in (os.path.join(CGROUP_FS, label), os.path.join(CGROUP_FS, label) + own):
                    if os.path.isdir(os.path.join(parent, name)):
                        remove_cgroup(os.path.join(parent, name))
            shutil.rmtree(path, ignore_errors=True)


def fresh_mounts(directory):
    """The mount table that the command sees; everything here vanishes with the namespace."""
    linux.umount(os.path.join(os.path.dirname(directory), "cgroups"), linux.MNT_DETACH)  # the supervisor's own
    linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    while os.path.ismount("/sys"):
        linux.umount("/sys", linux.MNT_DETACH)
    linux.mount("sysfs", "/sys", "sysfs", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    rows = linux.hierarchies()
    if rows[0][0] == "" and len(rows) == 1:
        linux.mount("cgroup2", CGROUP_FS, "cgroup2")
    else:
        linux.mount("tmpfs", CGROUP_FS, "tmpfs", options="mode=755")
        for label, kind, options, _ in rows:
            os.mkdir(os.path.join(CGROUP_FS, label))
            linux.mount("cgroup", os.path.join(CGROUP_FS, label), kind, options=options)
            for alias in label.split(","):
                if alias != label:
                    os.symlink(label, os.path.join(CGROUP_FS, alias))
    linux.mount("tmpfs", "/run", "tmpfs", options="mode=755")
    for name in ("netns", "lock"):
        os.mkdir("/run/" + name)
    for path in ("/dev/shm", "/var/lib/cni"):
        if os.path.isdir(path):
            linux.mount("tmpfs", path, "tmpfs", options="mode=1777" if path == "/dev/shm" else "mode=755")
    if linux.filesystem_of(directory) in ("overlay", "aufs"):
        # Overlay refuses an upper directory on overlay.
        linux.mount("tmpfs", directory, "tmpfs", options="mode=700")
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_SHARED)


def delegate_v2():
    """On a v2-only machine: processes to a leaf, controllers to the children."""
    rows = linux.hierarchies()
    if len(rows) != 1:
        return
    os.mkdir(CGROUP_FS + "/env")
    write(CGROUP_FS + "/env/cgroup.procs", "0")
    controllers = read(CGROUP_FS + "/cgroup.controllers").split()
    write(CGROUP_FS + "/cgroup.subtree_control", " ".join("+" + name for name in controllers))


def others():
    """Living processes beside process 1, as (pid, command line)."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or name == "1":
            continue
        try:
            state = read(f"/proc/{name}/stat").rpartition(")")[2].split()[0]
            text = read(f"/proc/{name}/cmdline").replace("\0", " ").strip() or read(f"/proc/{name}/comm").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            found.append((int(name), text))
    return found


def inside(command, directory, strict):
    """Process 1: runs the command, reaps, tells what it left. Returns the exit status."""
    linux.set_parent_death_signal(signal.SIGKILL)
    fresh_mounts(directory)
    delegate_v2()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    environment = dict(os.environ, BERTH_ENV_DIR=directory, BERTH_ENV="inside")
    if "/usr/sbin" not in environment.get("PATH", "").split(":"):
        environment["PATH"] = environment.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    child = subprocess.Popen(command, env=environment)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: child.send_signal(received))
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            break
    code = os.waitstatus_to_exitcode(status)
    left = others()
    for pid, text in left:
        say(f"the command left process {pid} running: {text[:160]}")
    if code == 0 and left and strict:
        return 3
    return code if code >= 0 else 128 - code


def middle(cgroups, command, directory, strict):
    linux.set_parent_death_signal(signal.SIGKILL)
    cgroups.enter()
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWPID | linux.CLONE_NEWCGROUP |
                  linux.CLONE_NEWIPC | linux.CLONE_NEWUTS)
    pid = os.fork()
    if pid == 0:
        os._exit(guarded(lambda: inside(command, directory, strict)))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: os.kill(pid, received))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def guarded(work):
    """Runs the body of a forked process, which must never return into its parent's code."""
    try:
        code = work()
        return code if code >= 0 else 128 - code
    except BaseException as error:  # pylint: disable=broad-except
        say(f"{type(error).__name__}: {error}")
        return 125
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def supervise(options):
    base = os.environ.get("BERTH_TEST_BASE", "/var/tmp")
    sweep(base)
    directory = tempfile.mkdtemp(prefix=PREFIX, dir=base)
    os.chmod(directory, 0o755)
    write(directory + "/owner", f"{os.getpid()} {linux.start_time(os.getpid())}")
    linux.own_mounts()
    code, cgroups = 125, None
    try:
        cgroups = Cgroups(directory + "/cgroups", os.path.basename(directory))
        private = directory + "/private"
        os.mkdir(private)
        pid = os.fork()
        if pid == 0:
            os._exit(guarded(lambda: middle(cgroups, options.command, private, options.strict)))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda received, _: os.kill(pid, received))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        left = cgroups.below()
        if left:
            say(f"the command left {len(left)} cgroups: {', '.join(left[:5])}")
            code = 3 if code == 0 and options.strict else code
    finally:
        if cgroups is not None:
            cgroups.remove()
        if os.path.ismount(directory + "/cgroups"):
            linux.umount(directory + "/cgroups", linux.MNT_DETACH)
        if options.keep:
            write(directory + "/kept", "")
            say(f"kept {directory}")
        else:
            shutil.rmtree(directory)
    return code if code >= 0 else 128 - code


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strict", action="store_true", help="what the command leaves is an error")
    parser.add_argument("--keep", action="store_true", help="keep the private directory")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.command[:1] == ["--"]:
        options.command = options.command[1:]
    if not options.command:
        parser.error("a command is needed")
    if os.geteuid() != 0:
        say("needs root")
        sys.exit(77)
    sys.exit(supervise(options))


if __name__ == "__main__":
    main()
