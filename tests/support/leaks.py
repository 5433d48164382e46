"""leaks.py snapshot FILE | compare BEFORE [AFTER]: what a machine holds, and what one moment has more than another.

A snapshot is a dictionary of lists of strings, each naming one thing the kernel or the disk keeps. Run it in the
environment whose leftovers are asked for; it sees the processes, mounts and links of its own namespaces, and the mount
tables and network namespaces of every process that it sees.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys
import time

CGROUP_FS = "/sys/fs/cgroup"
NUMBERED = re.compile(r":\[\d+\]$")
COUNTERS = re.compile(r" *\[\d+:\d+\]")


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def vanishing(work, default=None):
    """The result of `work`, or `default` when the process it reads of is gone."""
    try:
        return work()
    except (FileNotFoundError, ProcessLookupError, PermissionError, NotADirectoryError, OSError):
        return default


def processes():
    """pid -> name, without kernel threads, zombies of others and this program itself."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        stat = vanishing(lambda: read(f"/proc/{name}/stat"))
        if stat is None:
            continue
        comm, fields = stat[stat.index("(") + 1:stat.rindex(")")], stat[stat.rindex(")") + 2:].split()
        kernel_thread = int(fields[6]) & 0x00200000
        if not kernel_thread:
            found[int(name)] = f"{comm}{' (zombie)' if fields[0] == 'Z' else ''}"
    return found


def mount_lines(pid):
    """A mount table without the numbers that change with every mount."""
    lines = []
    for line in vanishing(lambda: read(f"/proc/{pid}/mountinfo"), "").splitlines():
        fields = line.split()
        rest = fields[fields.index("-") + 1:]
        lines.append(f"{fields[4]} {fields[3]} {rest[0]} {rest[1]}")
    return lines


def mounts(alive):
    """Every mount of every mount namespace that a process lives in; a namespace is known by its number."""
    seen, found = {}, []
    for pid, name in alive.items():
        namespace = vanishing(lambda: os.readlink(f"/proc/{pid}/ns/mnt"))
        if namespace and namespace not in seen:
            seen[namespace] = name
            found += [f"{namespace} {line}" for line in mount_lines(pid)]
            found.append(f"{namespace} itself")
    return found


def network_namespaces(alive):
    found = set()
    for pid in alive:
        found.add(vanishing(lambda: os.readlink(f"/proc/{pid}/ns/net")))
        for fd in vanishing(lambda: os.listdir(f"/proc/{pid}/fd"), []):
            target = vanishing(lambda: os.readlink(f"/proc/{pid}/fd/{fd}"), "")
            if target.startswith("net:["):
                found.add(target)
    found |= {f"/run/netns/{name}" for name in vanishing(lambda: os.listdir("/run/netns"), [])}
    return sorted(name for name in found if name)


def output_lines(*command):
    try:
        text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def links():
    found = []
    for line in output_lines("ip", "-o", "address"):
        found.append("address " + " ".join(line.split()[1:4]))
    for line in output_lines("ip", "-o", "link"):
        found.append("link " + line.split(": ")[1])
    # A bridge without ports is down: that is its state, not a thing.
    return found + ["route " + line.replace(" linkdown", "").strip() for line in output_lines("ip", "route")]


def rules():
    """Packet filter rules, without counters."""
    found = []
    for family in ("iptables-save", "ip6tables-save"):
        found += [f"{family} {COUNTERS.sub('', line)}" for line in output_lines(family)]
    return found + ["nft " + line.strip() for line in output_lines("nft", "--stateless", "list", "ruleset")]


def cgroups():
    found = []
    for path, names, _ in os.walk(CGROUP_FS):
        found += [os.path.join(path, name) for name in names if not os.path.islink(os.path.join(path, name))]
    return found


def files(top):
    found = []
    for path, directories, names in os.walk(top):
        found += [os.path.join(path, name) for name in directories + names]
    return found


def sockets(pid):
    """Inode -> what a socket is: its peer's port for TCP, its path for unix."""
    found = {}
    for family in ("tcp", "tcp6"):
        for line in vanishing(lambda: read(f"/proc/{pid}/net/{family}"), "").splitlines()[1:]:
            fields = line.split()
            found[fields[9]] = f"{family} peer port {int(fields[2].split(':')[1], 16)}"
    for line in vanishing(lambda: read(f"/proc/{pid}/net/unix"), "").splitlines()[1:]:
        fields = line.split()
        found[fields[6]] = f"unix type {int(fields[4])} {fields[7] if len(fields) > 7 else 'unnamed'}"
    return found


def descriptors(pid):
    """A process's open files by kind: two sockets of a kind are alike, two paths are not."""
    known = sockets(pid)
    for fd in vanishing(lambda: os.listdir(f"/proc/{pid}/fd"), []):
        target = vanishing(lambda: os.readlink(f"/proc/{pid}/fd/{fd}"))
        if target is not None:
            socket = known.get(target[len("socket:["):-1], "of another kind") if target.startswith("socket:[") else None
            yield f"socket {socket}" if socket else NUMBERED.sub("", target)


def shared_memory():
    found = []
    for name in ("shm", "sem", "msg"):
        found += [f"{name} {line.split()[1]}" for line in read(f"/proc/sysvipc/{name}").splitlines()[1:]]
    return found


def counted(items):
    """Two of one name are two things: `name #0`, `name #1`."""
    return [f"{item} #{number}" for item, count in collections.Counter(items).items() for number in range(count)]


def snapshot(trees=(), fds_of=(), ignore=()):
    """`trees`: directories whose every file counts; `fds_of`: processes whose open files count, pids or {name: pid}."""
    alive = processes()
    named = fds_of if isinstance(fds_of, dict) else {str(pid): pid for pid in fds_of}
    result = {
        "processes": counted(alive.values()),
        "mounts": mounts(alive),
        "own mounts": mount_lines("self"),
        "network namespaces": network_namespaces(alive),
        "links": links(),
        "rules": rules(),
        "cgroups": cgroups(),
        "shared memory": vanishing(shared_memory, []),
        "files": [path for tree in ("/run", "/dev/shm", "/dev/mqueue", "/var/lib/cni", *trees) for path in files(tree)],
        "descriptors": counted(f"{name} {kind}" for name, pid in named.items() for kind in descriptors(pid)),
    }
    patterns = [re.compile(pattern) for pattern in ignore]
    return {kind: sorted(item for item in items if not any(p.search(item) for p in patterns))
            for kind, items in result.items()}


def difference(before, after):
    """{kind: [+ or - item]}: what came and what went. Empty when nothing did."""
    result = {}
    for kind in sorted(set(before) | set(after)):
        old, new = collections.Counter(before.get(kind, [])), collections.Counter(after.get(kind, []))
        lines = [f"+ {item}" for item in (new - old).elements()]
        if kind != "descriptors":  # a process that holds fewer than before has let go of a cached connection
            lines += [f"- {item}" for item in (old - new).elements()]
        if lines:
            result[kind] = lines
    return result


def describe(changes, limit=15):
    lines = []
    for kind, items in changes.items():
        lines.append(f"{kind}: {len(items)} differ")
        lines += ["  " + item for item in items[:limit]]
    return "\n".join(lines)


def stable(take, seconds=10):
    """A snapshot of a moment when nothing is in motion: the same twice, 0.2 s apart."""
    deadline = time.monotonic() + seconds
    last = take()
    while time.monotonic() < deadline:
        time.sleep(0.2)
        now = take()
        if now == last:
            break
        last = now
    return last


def settle(before, take, seconds=10):
    """What still differs when the kernel has had time to let go; `take` makes a snapshot."""
    deadline = time.monotonic() + seconds
    while True:
        changes = difference(before, take())
        if not changes or time.monotonic() > deadline:
            return changes
        time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("snapshot", "compare"))
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--tree", action="append", default=[], help="a directory whose every file counts")
    parser.add_argument("--fds-of", action="append", default=[], help="a process whose open files count")
    parser.add_argument("--ignore", action="append", default=[], help="a regular expression of what does not count")
    options = parser.parse_args()

    def take():
        return snapshot(options.tree, options.fds_of, options.ignore)

    if options.action == "snapshot":
        with open(options.paths[0], "w", encoding="utf-8") as file:
            json.dump(take(), file, indent=1)
        return
    before = json.loads(read(options.paths[0]))
    if len(options.paths) > 1:
        changes = difference(before, json.loads(read(options.paths[1])))
    else:
        changes = settle(before, take)
    print(describe(changes) or "nothing differs")
    sys.exit(1 if changes else 0)


if __name__ == "__main__":
    main()
