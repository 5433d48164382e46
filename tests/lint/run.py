"""All lints, each a module with `check(tree) -> [problem]`; a problem reads `file:line: what is wrong and what would be right`."""

import concurrent.futures
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# pylint: disable=wrong-import-position
import arrows
import calls
import layout
import secrets_of_ours
from tree import TOP, Tree

LINTS = (arrows, calls, layout, secrets_of_ours)


def formatted(path):
    """clang-format's complaints about one file, at most a few."""
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", path], cwd=TOP, stderr=subprocess.PIPE, text=True,
                          check=False)
    lines = [line for line in done.stderr.splitlines() if ": error:" in line]
    return [f"{line.split(': error:')[0]}: not formatted: run `make format`" for line in lines[:2]]


def main():
    tree = Tree()
    problems = 0
    for lint in LINTS:
        found = lint.check(tree)
        for line in found:
            print(line)
        problems += len(found)
        print(f"lint: {lint.__name__}: {len(found)} problems")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [line for lines in pool.map(formatted, tree.cxx()) for line in lines]
    for line in found:
        print(line)
    print(f"lint: clang-format: {len(found)} problems in {len(tree.cxx())} files")
    sys.exit(1 if problems + len(found) else 0)


if __name__ == "__main__":
    main()
