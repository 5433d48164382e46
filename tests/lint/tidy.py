"""clang-tidy over a part of the C++ that fits into CI's time: what runs as root next to hostile input, and what the last
commits touched. `--all`: every file that the dev preset compiles. Checks and their severity stand in .clang-tidy.
"""

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import time

from tree import TOP

ALWAYS = ("base/", "runtime/handlers/native/", "runtime/shim/", "runtime/shim_protocol/", "imagesvc/unpack/")
# Files that see grpc++ take a minute each.
NEVER = ("server/cri/", "server/admin/", "server/app/", "cli/", "tests/", "build/")


def compiled(build):
    """Path -> arguments, of our own files in the compilation database."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        rows = json.load(file)
    return sorted({os.path.relpath(row["file"], TOP) for row in rows})


def touched(commits):
    """Files that differ from some commits ago, or that are not committed; all of them when history is shorter."""
    names = set()
    for arguments in (["diff", "--name-only", f"HEAD~{commits}"], ["ls-files", "--others", "--exclude-standard"]):
        done = subprocess.run(["git", *arguments], cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=False)
        names |= set(done.stdout.split())
    return names


def tidy(build, path):
    done = subprocess.run(["clang-tidy", "--quiet", "-p", build, path], cwd=TOP, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    return path, done.returncode, done.stdout + (done.stderr if done.returncode and not done.stdout else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--build", default=os.path.join(TOP, "build/dev"))
    parser.add_argument("--commits", type=int, default=1, help="how far back a touched file counts (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=480, help="no new file is begun after this long, unless --all")
    options = parser.parse_args()

    recent = touched(options.commits)
    files = [path for path in compiled(options.build) if not path.startswith(NEVER)]
    if not options.all:
        files = [path for path in files if not path.endswith("_test.cc") and (path in recent or path.startswith(ALWAYS))]
        files.sort(key=lambda path: path not in recent)
    began, left, bad = time.monotonic(), 0, 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        def one(path):
            if not options.all and time.monotonic() - began > options.seconds:
                return path, None, ""
            return tidy(options.build, path)
        for path, code, text in pool.map(one, files):
            if code is None:
                left += 1
            elif code:
                bad += 1
                print(f"{path}:\n{text}")
    note = f", {left} not looked at for want of time" if left else ""
    print(f"clang-tidy: {bad} of {len(files) - left} files have problems{note}, {time.monotonic() - began:.0f} s")
    sys.exit(1 if bad or left == len(files) else 0)


if __name__ == "__main__":
    main()
