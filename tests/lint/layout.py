"""The shape of files: header guards, own header first, folders with a README, everything built, scripts that parse."""

import ast
import os
import re
import stat
import subprocess

from arrows import owners, targets

README_LINES = 30
TEXT = (".h", ".cc", ".py", ".cmake", ".txt", ".proto", ".toml", ".service", ".json")
WITH_README = ("base", "metrics", "imagesvc", "runtime", "server", "cli", "proto", "tests")


def check_headers(tree):
    for path in tree.cxx():
        lines = tree.files[path].splitlines()
        code = [line for line in lines if line.strip() and not line.lstrip().startswith("//")]
        if path.endswith(".h"):
            if not code or code[0] != "#pragma once":
                yield f"{path}:1: a header begins with #pragma once"
            continue
        own = path[:-len(".cc")] + ".h"
        if own in tree.files:
            first = next((target for _, target, quoted in tree.includes(path)), None)
            if first != own:
                yield f"{path}:1: the first include is its own header, {own}"


def check_text(tree):
    for path, text in sorted(tree.files.items()):
        if not path.endswith(TEXT) or "/corpus/" in path or "/testdata/" in path or path.startswith("docs/bench/"):
            continue
        if text and not text.endswith("\n"):
            yield f"{path}: no newline at the end"
        for number, line in enumerate(text.splitlines(), 1):
            if line != line.rstrip() or "\r" in line:
                yield f"{path}:{number}: white space at the end of the line"
            elif "\t" in line:
                yield f"{path}:{number}: a tab; indent by spaces"


def check_built(tree):
    """A source file that no target compiles proves nothing."""
    compiled = set(owners(targets(tree)))
    for path in tree.cxx():
        if path.endswith(".cc") and path not in compiled and path != "tests/fuzz/replay_main.cc":
            yield f"{path}: no CMakeLists.txt compiles it"


def check_readmes(tree):
    for top in WITH_README:
        folders = {os.path.dirname(path) for path in tree.files if path.startswith(top + "/") and path.endswith((".h", ".cc"))}
        for folder in sorted(folders):
            readme = folder + "/README.md"
            parents = [readme]
            # A folder of a folder may be told about in its parent's README.
            if folder.count("/") > 1 or folder.startswith("tests/"):
                parents.append(os.path.dirname(folder) + "/README.md")
            if not any(parent in tree.files for parent in parents):
                yield f"{readme}: missing: what the folder is for, its arrows, where to start"
            elif len(tree.files.get(readme, "").splitlines()) > README_LINES:
                yield f"{readme}: longer than {README_LINES} lines"


def check_scripts(tree):
    for path, text in sorted(tree.files.items()):
        if path.endswith(".py"):
            try:
                ast.parse(text, path)
            except SyntaxError as error:
                yield f"{path}:{error.lineno}: {error.msg}"
        elif re.match(r"#!.*\bsh\b", text):
            done = subprocess.run(["sh", "-n"], input=text, stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                yield f"{path}: {done.stderr.strip()}"
        if text.startswith("#!") and not tree.modes[path] & stat.S_IXUSR:
            yield f"{path}: a script that may not be executed"


def check(tree):
    return [problem for part in (check_headers, check_text, check_built, check_readmes, check_scripts)
            for problem in part(tree)]
