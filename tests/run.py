"""Builds and runs everything that proves Berth: dev (all of it), then asan and tsan (what needs no gRPC).

The last line is `N passed, N failed`; the exit status is 0 only when something passed and nothing failed. Each case of a
GoogleTest program or Python suite counts as one; a program that died before it could tell counts as one failure.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Tally:
    """What passed, failed and was skipped, over all phases."""

    def __init__(self):
        self.passed = 0
        self.failures = []
        self.skipped = []

    def add_failure(self, name, text=""):
        self.failures.append((name, text))

    def close(self):
        for name, reason in self.skipped:
            print(f"skipped: {name}: {reason}")
        for name, text in self.failures:
            print(f"FAILED: {name}" + (f": {text}" if text else ""))
        print(f"{self.passed} passed, {len(self.failures)} failed", flush=True)
        return 0 if self.passed and not self.failures else 1


def one_line(text):
    return " ".join((text or "").split())[:300]


def step(tally, name, command, **kwargs):
    """Runs a command that must succeed; tells its time."""
    print(f"== {name}", flush=True)
    began = time.monotonic()
    code = subprocess.run(command, cwd=TOP, **kwargs).returncode
    print(f"== {name}: {'ok' if code == 0 else f'exit {code}'} after {time.monotonic() - began:.0f} s", flush=True)
    if code != 0:
        tally.add_failure(name, f"exit {code}")
    return code == 0


def count_cases(tally, phase, program, report):
    """Adds the cases of one program's own report; returns how many of them failed."""
    failed = 0
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{phase}: {program}: {case.get('classname')}.{case.get('name')}"
        failure = case.find("failure")
        skip = case.find("skipped")
        if failure is not None:
            failed += 1
            tally.add_failure(name, one_line(failure.get("message") or failure.text))
        elif skip is not None or case.get("result") == "skipped":
            tally.skipped.append((name, one_line(skip.get("message") if skip is not None else "") or "no reason given"))
        elif case.get("status") != "notrun":
            tally.passed += 1
    return failed


def count(tally, phase, junit, reports):
    """Adds what ctest saw, in the programs' own cases where they wrote a report."""
    seen = 0
    for test in ElementTree.parse(junit).iter("testcase"):
        seen += 1
        name, status = test.get("name"), test.get("status")
        report = os.path.join(reports, name + ".xml")
        skip = test.find("skipped")
        if status == "notrun" and skip is not None:
            tally.skipped.append((f"{phase}: {name}", one_line(skip.get("message")) or "skipped"))
            continue
        failed = count_cases(tally, phase, name, report) if os.path.exists(report) else 0
        if status not in ("run", "fail"):
            tally.add_failure(f"{phase}: {name}", status)
        elif status == "fail" and not failed:
            failure = test.find("failure")
            tally.add_failure(f"{phase}: {name}", one_line(failure.get("message") if failure is not None else "failed"))
        elif status == "run" and not os.path.exists(report):
            tally.passed += 1
    if not seen:
        tally.add_failure(f"{phase}: ctest", "ran no test")


def run_preset(tally, preset, jobs):
    """Configures, builds and tests one preset."""
    build = os.path.join(TOP, "build", preset)
    if not step(tally, f"{preset}: configure", ["cmake", "--preset", preset], stdout=subprocess.DEVNULL):
        return
    # Everything that can be built is built, so that one error does not hide the next.
    if not step(tally, f"{preset}: build", ["cmake", "--build", build, "-j", str(jobs), "--", "-k", "0"]):
        return
    reports = os.path.join(build, "reports")
    shutil.rmtree(reports, ignore_errors=True)
    os.makedirs(reports)
    junit = os.path.join(reports, "ctest.junit")
    print(f"== {preset}: ctest", flush=True)
    environment = dict(os.environ, GTEST_OUTPUT=f"xml:{reports}/", GTEST_COLOR="no")
    # The executor has one thread; under tsan its races between processes, paced by time, only become slow.
    left_out = ["-E", "^native_executor_test$"] if preset == "tsan" else []
    subprocess.run(["ctest", "--test-dir", build, "-j", str(jobs), "--output-on-failure", "--no-tests=error",
                    "--output-junit", junit, *left_out], cwd=TOP, env=environment)
    if os.path.exists(junit):
        count(tally, preset, junit, reports)
    else:
        tally.add_failure(f"{preset}: ctest", "wrote no report")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--presets", default="dev,asan,tsan", help="comma-separated (default: %(default)s)")
    parser.add_argument("--with-lint", action="store_true", help="lint first, as CI does")
    options = parser.parse_args()

    tally = Tally()
    if options.with_lint:
        if step(tally, "lint", [sys.executable, "tests/lint/run.py"]):
            tally.passed += 1
    for preset in options.presets.split(","):
        run_preset(tally, preset, options.jobs)
    if options.with_lint and os.path.exists(os.path.join(TOP, "build/dev/compile_commands.json")):
        if step(tally, "clang-tidy", [sys.executable, "tests/lint/tidy.py"]):
            tally.passed += 1
    sys.exit(tally.close())


if __name__ == "__main__":
    main()
