"""Runs a unittest module and reports each case as GoogleTest does (GTEST_OUTPUT), so that tests/run.py counts them alike."""

import os
import sys
import time
import unittest
import xml.etree.ElementTree as ElementTree


class Result(unittest.TextTestResult):
    """Keeps what became of every case, and how long it took."""

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.rows = []
        self._began = 0.0

    def startTest(self, test):
        self._began = time.monotonic()
        super().startTest(test)

    def _row(self, test, kind, text=""):
        self.rows.append((test, kind, text, time.monotonic() - self._began))

    def addSuccess(self, test):
        super().addSuccess(test)
        self._row(test, "passed")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._row(test, "skipped", reason)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._row(test, "failure", str(err[1]))

    def addError(self, test, err):
        super().addError(test, err)
        self._row(test, "failure", f"{err[0].__name__}: {err[1]}")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._row(test, "failure", f"{subtest._subDescription()}: {err[1]}")  # pylint: disable=protected-access


def write_report(path, rows):
    suite = ElementTree.Element("testsuites")
    for test, kind, text, seconds in rows:
        # A class whose set-up failed stands in for its cases.
        name = getattr(test, "_testMethodName", str(test))
        case = ElementTree.SubElement(suite, "testcase", name=name, classname=type(test).__name__, time=f"{seconds:.3f}",
                                      status="run", result="skipped" if kind == "skipped" else "completed")
        if kind != "passed":
            ElementTree.SubElement(case, kind, message=text)
    ElementTree.ElementTree(suite).write(path)


def main():
    """Runs the tests of the calling program; arguments name cases, as in unittest."""
    program = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    names = sys.argv[1:]
    module = sys.modules["__main__"]
    loader = unittest.defaultTestLoader
    tests = loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result)
    result = runner.run(tests)
    output = os.environ.get("GTEST_OUTPUT", "")
    if output.startswith("xml:"):
        write_report(os.path.join(output[len("xml:"):], program + ".xml"), result.rows)
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
