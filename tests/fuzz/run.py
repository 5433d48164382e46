"""Runs every libFuzzer target of a build for a while; inputs that broke one are kept under the build's fuzz-findings/."""

import argparse
import json
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def targets(build):
    """(name, program, corpus) of each target, as ctest knows them."""
    listed = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], stdout=subprocess.PIPE, check=True)
    for test in json.loads(listed.stdout)["tests"]:
        if test["name"].endswith("_corpus"):
            yield test["name"][:-len("_corpus")], test["command"][0], test["command"][-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default=os.path.join(TOP, "build/fuzz"))
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together, at least 2 each")
    options = parser.parse_args()

    found = list(targets(options.build))
    if not found:
        sys.exit("no fuzz target was built")
    each = max(2, options.seconds // len(found))
    broken = []
    for name, program, corpus in found:
        work = os.path.join(options.build, "fuzz-corpus", name)
        findings = os.path.join(options.build, "fuzz-findings", name)
        os.makedirs(work, exist_ok=True)
        os.makedirs(findings, exist_ok=True)
        print(f"== {name}: {each} s", flush=True)
        # New inputs go to the first directory; the project's own corpus is only read.
        done = subprocess.run([program, f"-max_total_time={each}", "-timeout=10", "-rss_limit_mb=2048",
                               f"-artifact_prefix={findings}/", "-print_final_stats=0", "-verbosity=0", work, corpus],
                              check=False)
        if done.returncode:
            broken.append(f"{name} (inputs in {findings})")
    print(f"{len(found) - len(broken)} passed, {len(broken)} failed" + "".join(f"\nFAILED: {line}" for line in broken))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
