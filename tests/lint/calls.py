"""Calls that the rules of the house forbid, each with what to use instead. An exception says so where it stands:
`// lint: allow(NAME): why`, on the line or the one above. Some calls are right now and then: those want no more than their
reason beside them, any comment on the line or right above."""

import re

from arrows import is_test
from tree import code_lines

ALLOW = re.compile(r"lint: allow\(([a-z-]+)\): \S")


def call(*names):
    """A call of one of these functions, not of a member or a longer name; `::` in front is the same call."""
    return re.compile(r"(?<![\w.>:])(?:::)?(?:" + "|".join(names) + r")\s*\(")


# (name, pattern, folders it holds for, folders it spares, what would be right)
RULES = (
    ("path-mount", call("mount", "umount"), ("runtime/handlers/native/",), (),
     "a mount by path follows what a container planted; use fsopen, open_tree, move_mount, umount2 on a descriptor's path"),
    ("path-chmod", call("chmod", "chown", "lchown", "mkdir", "mknod", "symlink", "link", "unlink", "rmdir", "rename", "open",
                        "creat", "stat", "lstat", "access", "truncate"), ("runtime/handlers/native/child/",), (),
     "inside a rootfs paths are resolved below a descriptor: openat2, mkdirat, fchown, mknodat"),
    ("shell", call("system", "popen"), ("",), (), "no shell: posix_spawn with an argument list"),
    ("fork", call("fork", "vfork"), ("base/", "metrics/", "imagesvc/", "runtime/", "server/", "cli/"), (),
     "the daemon never forks itself: posix_spawn, or clone3 in handlers/native/parent"),
    ("unbounded", call("sprintf", "vsprintf", "strcpy", "strcat", "gets"), ("",), (), "a bounded form"),
    ("getenv", call("getenv", "secure_getenv", "std::getenv"), ("base/", "metrics/", "imagesvc/", "runtime/", "server/"),
     ("server/app/", "server/main.cc", "runtime/shim/"), "configuration comes through server/app"),
    ("std-mutex", re.compile(r"\bstd::(recursive_|shared_)?mutex\b|\babsl::Mutex\b"), ("imagesvc/", "metrics/", "runtime/",
                                                                                       "server/", "base/"),
     ("base/mutex.h", "runtime/shim/"), "berth::Mutex of base/mutex.h, which Clang's thread-safety analysis and TSan understand"),
    ("ignored-status", re.compile(r"\.IgnoreError\s*\("), ("",), (), "an error is returned or logged"),
    ("using-namespace", re.compile(r"\busing\s+namespace\b"), ("",), (), "using-declarations"),
    ("detached-thread", re.compile(r"\.detach\s*\(\s*\)"), ("",), (), "a thread is joined by its owner"),
    ("bare-kill", call("kill"), ("runtime/", "server/"), (), "pidfd_send_signal: a pid may be another process by now"),
    ("console", re.compile(r"\bstd::(cout|cerr)\b"), ("base/", "metrics/", "imagesvc/", "runtime/"), ("base/log.cc",),
     "libraries return or log (base/log.h)"),
    ("sleep", re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep|absl::SleepFor)\s*\("), ("",), ("tests/",),
     "a timer, a condition variable or the kernel's own event"),
)


REASON_IS_ENOUGH = ("ignored-status", "sleep", "bare-kill")


def allowed(lines, number, name):
    """Whether comments on a line or on the one above allow what a rule forbids."""
    near = [lines[index] for index in (number - 2, number - 1) if 0 <= index < len(lines)]
    if name in REASON_IS_ENOUGH and ("//" in near[-1] or near[0].lstrip().startswith("//")):
        return True
    return any(match.group(1) == name for line in near for match in ALLOW.finditer(line))


def check(tree):
    problems = []
    for path in tree.cxx():
        rules = [rule for rule in RULES if path.startswith(rule[2]) and not (rule[3] and path.startswith(rule[3]))]
        if is_test(path):
            rules = [rule for rule in rules if rule[0] in ("unbounded", "detached-thread")]
        if not rules:
            continue
        raw = tree.files[path].splitlines()
        for number, line in code_lines(tree.files[path]):
            for name, pattern, _, _, right in rules:
                if pattern.search(line) and not allowed(raw, number, name):
                    problems.append(f"{path}:{number}: {name}: {line.strip()[:80]}: {right}")
    return problems
