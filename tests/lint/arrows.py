"""The arrows: which folder may include which (docs/architecture.md). From #include lines, and CMake's DEPS must say the same.

    server, cli -> runtime -> imagesvc -> metrics -> base      everyone -> base      cli: base and proto only
"""

import os
import re

# What the folders of the first column may include of ours, themselves apart. `messages` and `services` are the two halves
# of proto/. A longer path wins over a shorter one.
MAY = {
    "base": set(),
    "metrics": {"base"},
    "imagesvc": {"base", "metrics"},
    "runtime": {"base", "metrics", "imagesvc"},
    "server": {"base", "metrics", "imagesvc", "runtime", "messages"},
    "cli": {"base", "messages"},
    "proto": {"messages", "services"},
    "tests": {"base", "metrics", "imagesvc", "runtime", "messages", "services"},
}
# proto messages as values, where the plan of the house grants them.
MESSAGES = ("runtime/spec/", "runtime/pod/", "runtime/container/", "runtime/records/", "runtime/node/", "runtime/recovery/",
            "runtime/streams/", "runtime/stats/", "runtime/events/", "runtime/operations/", "runtime/model/",
            "runtime/network/", "runtime/handlers/native/compile/")
MESSAGES_FILES = ("runtime/runtime.h", "runtime/runtime.cc", "runtime/options.h")
STORED_MESSAGES = ("imagesvc/catalog/", "imagesvc/pull/")  # berth/v1 records; never CRI's types
# grpc++ costs tens of seconds in every file that sees it.
GRPC = ("server/cri/", "server/admin/", "server/app/", "cli/", "tests/", "server/main.cc")
GRPC_HEADER = re.compile(r"^(grpc|grpcpp|grpc\+\+)/")
# What is linked into the resident shim: a part of base, and no library that costs it memory.
SHIM = ("runtime/handlers/native/child/", "runtime/handlers/native/parent/", "runtime/logs/", "runtime/shim_protocol/",
        "runtime/shim/")
SHIM_MAY = (*SHIM, "runtime/handlers/native/plan/", "base/fd.h", "base/syscall.h", "base/tlv.h")
SHIM_NEVER = re.compile(r"^(absl/|google/|nlohmann/|toml\+\+/|seccomp\.h|prometheus/|grpc|iostream|fstream|sstream|iomanip|"
                        r"regex|filesystem|locale|pwd\.h|grp\.h|netdb\.h|curl/|openssl/|sqlite3\.h)")
# Between clone and exec: no heap, no locks, no log.
CHILD = "runtime/handlers/native/child/"
CHILD_NEVER = re.compile(r"^(string|vector|map|set|unordered_map|unordered_set|memory|functional|mutex|thread|"
                         r"condition_variable|future|deque|list|iostream|stdio\.h|cstdio|malloc\.h)$")

PROTO_HEADER = re.compile(r"^(runtime/v1|berth/v1)/.*\.pb\.h$")


def is_test(path):
    name = os.path.basename(path)
    return name.endswith("_test.cc") or name.startswith(("fuzz_", "fake_")) or path.startswith("tests/") or \
        "/testing/" in path or name.startswith("test_") or "_harness." in name


def kind_of(target):
    """The top folder of an include of ours; `messages` or `services` for generated headers; None for foreign ones."""
    if PROTO_HEADER.match(target):
        return "services" if target.endswith(".grpc.pb.h") else "messages"
    top = target.split("/")[0]
    return top if top in MAY and "/" in target else None


def check_one(path, number, target, quoted, tree):
    top = path.split("/")[0]
    where = f"{path}:{number}"
    if top not in MAY:
        return
    kind = kind_of(target)
    if quoted and kind is None and "/" not in target:
        yield f'{where}: "{target}": include by the full path from the top'
    if quoted and kind not in (None, "messages", "services") and target not in tree.files:
        yield f'{where}: "{target}" is not a file of the project'
    if kind in ("server", "cli", "tests") and kind != top:
        yield f"{where}: nothing includes {kind}/, it is an end of the arrows"
    elif kind == "services" and not path.startswith(GRPC) and top != "proto":
        yield f"{where}: gRPC services belong to server/cri, server/admin, server/app and cli"
    elif kind == "messages" and kind not in MAY[top]:
        granted = path.startswith(MESSAGES) or path in MESSAGES_FILES or (path.count("/") == 1 and top == "runtime")
        stored = path.startswith(STORED_MESSAGES) and target.startswith("berth/v1/")
        if not granted and not stored:
            yield f"{where}: {path.rsplit('/', 1)[0]}/ may not use protobuf messages ({target})"
    elif kind not in (None, "services", "messages") and kind != top and kind not in MAY[top]:
        yield f"{where}: the arrows do not lead from {top}/ to {kind}/ ({target})"
    if GRPC_HEADER.match(target) and not path.startswith(GRPC):
        yield f"{where}: grpc++ headers belong to server/cri, server/admin, server/app and cli"
    shown = re.search(r'#include "prometheus/', tree.files.get(target, "")) if target.startswith("metrics/") else None
    if (target.startswith("prometheus/") or shown) and top != "metrics":
        yield f"{where}: prometheus-cpp stays inside metrics/; its public headers do not show it"
    if path.startswith("runtime/container/") and target.startswith("runtime/pod/"):
        yield f"{where}: pod uses container, never back"
    if not is_test(path):
        yield from check_shim(path, where, target, kind)


def check_shim(path, where, target, kind):
    if path.startswith(SHIM):
        if SHIM_NEVER.match(target):
            yield f"{where}: <{target}> would make every resident shim larger"
        if kind is not None and not target.startswith(SHIM_MAY):
            yield f"{where}: the shim may not use {target}"
    if path.startswith(CHILD) and CHILD_NEVER.match(target):
        yield f"{where}: <{target}>: no heap, locks or log between clone and exec"


# ---- CMake: DEPS says what the files of a target include

CALL = re.compile(r"\b(berth_library|berth_[a-z_]*program|berth_test|berth_fuzz)\s*\(([^)]*)\)", re.S)
WORD = re.compile(r'"[^"]*"|[^\s]+')
SECTIONS = ("SRCS", "DEPS", "PRIVATE_DEPS", "LABELS", "CORPUS")


def targets(tree):
    """name -> (folder, {section: words})."""
    found = {}
    for path, text in tree.files.items():
        if os.path.basename(path) != "CMakeLists.txt" and not path.endswith(".cmake") or path.startswith("cmake/"):
            continue
        for match in CALL.finditer(re.sub(r"#.*", "", text)):
            words = WORD.findall(match.group(2))
            if not words or "$" in words[0]:
                continue
            sections, current = {name: [] for name in SECTIONS}, None
            for word in words[1:]:
                if word in SECTIONS:
                    current = word
                elif current:
                    sections[current].append(word)
            found[words[0]] = (os.path.dirname(path), sections)
    return found


def reachable(name, everything):
    """All targets of ours behind a target's DEPS, itself included."""
    seen, todo = set(), [name]
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in everything:
            sections = everything[current][1]
            todo += sections["DEPS"] + sections["PRIVATE_DEPS"]
    return seen


def owners(everything):
    """Source file -> the targets that compile it."""
    found = {}
    for name, (folder, sections) in everything.items():
        for source in sections["SRCS"]:
            found.setdefault(os.path.normpath(os.path.join(folder, source)), []).append(name)
    return found


def check_deps(tree):
    everything = targets(tree)
    compiled = owners(everything)
    for path in sorted(tree.files):
        if not path.endswith(".cc") or path not in compiled:
            continue
        for number, target, quoted in tree.includes(path):
            source = re.sub(r"\.h$", ".cc", target)
            if not quoted or kind_of(target) in (None, "messages", "services") or source not in compiled:
                continue  # a header without a source file brings nothing to link
            for name in compiled[path]:
                if not reachable(name, everything) & set(compiled[source]):
                    yield f"{path}:{number}: {name} includes {target} but its DEPS do not reach {compiled[source][0]}"


def check(tree):
    problems = []
    for path in tree.cxx():
        for number, target, quoted in tree.includes(path):
            problems += check_one(path, number, target, quoted, tree)
    return problems + list(check_deps(tree))
