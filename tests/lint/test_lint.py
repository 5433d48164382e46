"""The lints themselves: what they must find, and what they must leave alone."""

import os
import sys
import unittest

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support")]
# pylint: disable=wrong-import-position
import arrows
import calls
import layout
import secrets_of_ours
import suite
from tree import Tree, code_lines


class Some(Tree):
    """A tree of these files only."""

    def __init__(self, files):  # pylint: disable=super-init-not-called
        self.files = files
        self.modes = {path: 0o755 for path in files}




class Arrows(unittest.TestCase):
    def one(self, path, include, more=()):
        files = {path: f'#include {include}\n', **{name: "" for name in more}}
        return [line for line in arrows.check(Some(files)) if "not a file" not in line]

    def test_lead_downwards_only(self):
        self.assertEqual(self.one("runtime/pod/a.cc", '"imagesvc/image_service.h"'), [])
        self.assertEqual(self.one("server/cri/a.cc", '"runtime/runtime.h"'), [])
        for path, include in (("base/a.cc", '"imagesvc/x.h"'), ("imagesvc/a.cc", '"runtime/x.h"'),
                              ("metrics/a.cc", '"imagesvc/x.h"'), ("cli/a.cc", '"runtime/x.h"'),
                              ("runtime/a.cc", '"server/x.h"'), ("server/a.cc", '"tests/x.h"'),
                              ("runtime/container/a.cc", '"runtime/pod/x.h"')):
            self.assertEqual(len(self.one(path, include)), 1, (path, include))

    def test_keep_protobuf_and_grpc_where_they_belong(self):
        self.assertEqual(self.one("runtime/spec/a.cc", '"runtime/v1/api.pb.h"'), [])
        self.assertEqual(self.one("server/cri/a.cc", "<grpcpp/server.h>"), [])
        for path, include in (("imagesvc/pull/a.cc", '"runtime/v1/api.pb.h"'), ("runtime/cgroups/a.cc", '"runtime/v1/api.pb.h"'),
                              ("runtime/spec/a.cc", '"runtime/v1/api.grpc.pb.h"'), ("server/config/a.cc", "<grpcpp/server.h>"),
                              ("server/a.cc", '"prometheus/counter.h"')):
            self.assertEqual(len(self.one(path, include)), 1, (path, include))

    def test_keep_the_shim_small(self):
        self.assertEqual(self.one("runtime/shim/a.cc", '"base/tlv.h"'), [])
        self.assertEqual(self.one("runtime/shim/a_test.cc", '"absl/status/status.h"'), [])
        for include in ('"absl/status/status.h"', '"base/json.h"', "<iostream>", '"runtime/shim_client/x.h"'):
            self.assertEqual(len(self.one("runtime/shim/a.cc", include)), 1, include)
        self.assertEqual(len(self.one("runtime/handlers/native/child/a.cc", "<string>")), 1)

    def test_deps_must_reach_what_is_included(self):
        files = {"base/CMakeLists.txt": "berth_library(low SRCS x.cc)", "base/x.cc": "", "base/x.h": "",
                 "runtime/a.cc": '#include "base/x.h"\n', "runtime/CMakeLists.txt": "berth_library(high SRCS a.cc DEPS {})"}
        for deps, count in (("low", 0), ("nothing", 1)):
            tree = Some(dict(files, **{"runtime/CMakeLists.txt": files["runtime/CMakeLists.txt"].format(deps)}))
            self.assertEqual(len(arrows.check(tree)), count, deps)


class Calls(unittest.TestCase):
    def names(self, path, text):
        return [line.split(": ")[1] for line in calls.check(Some({path: text}))]

    def test_forbidden_ones_are_found_in_code_only(self):
        self.assertEqual(self.names("runtime/handlers/native/child/a.cc", 'mount("a", "b");\nchmod(path, 1);\n'),
                         ["path-mount", "path-chmod"])
        self.assertEqual(self.names("runtime/a.cc", '// system("x")\n"system(x)";\nR"(popen(x))";\nx.system(1);\n'), [])
        self.assertEqual(self.names("base/a.cc", "std::mutex m; ::system(x); status.IgnoreError();"),
                         ["shell", "std-mutex", "ignored-status"])
        self.assertEqual(self.names("runtime/a_test.cc", "kill(pid, 9); usleep(1);"), [])

    def test_an_exception_gives_its_reason(self):
        self.assertEqual(self.names("base/a.cc", "// lint: allow(fork): a child tries\nfork();\n"), [])
        self.assertEqual(self.names("base/a.cc", "// a child tries\nfork();\n"), ["fork"])
        self.assertEqual(self.names("base/a.cc", "x.IgnoreError();  // gone already\n"), [])

    def test_strings_and_comments_are_no_code(self):
        text = "a(\"b // c\"); /* d\n e */ f('\"'); 1'000; // g\n"
        self.assertEqual([line for _, line in code_lines(text)], ['a(""); ', " f(''); 1'000; "])


class Layout(unittest.TestCase):
    def test_what_is_wrong_is_found(self):
        found = "\n".join(layout.check(Some({
            "base/a.h": "#include <x>\n", "base/a.cc": '#include <x>\n#include "base/a.h"\n', "base/b.py": "def\n",
            "base/c.sh": "#!/bin/sh\nif\n", "base/d.py": "x = 1 \n\ty", "base/README.md": "line\n" * 31})))
        for part in ("#pragma once", "its own header, base/a.h", "base/a.cc: no CMakeLists", "base/b.py:1", "base/c.sh",
                     "base/d.py:1: white space", "base/d.py: no newline", "longer than 30"):
            self.assertIn(part, found)

    def test_what_is_right_is_left_alone(self):
        self.assertEqual(layout.check(Some({
            "base/a.h": "// Why.\n#pragma once\n", "base/a.cc": '#include "base/a.h"\n', "base/README.md": "x\n",
            "base/CMakeLists.txt": "berth_library(low SRCS a.cc)\n"})), [])


class Secrets(unittest.TestCase):
    def test_keys_are_found(self):
        # Put together here, so that the lint does not find them in this file.
        for text in ("AK" + "IA" + "A" * 16, "gh" + "p_" + "a" * 36, "https://user:hunt" + "er2@example.com/"):
            self.assertEqual(len(secrets_of_ours.check(Some({"x": text}))), 1, text)
        self.assertEqual(secrets_of_ours.check(Some({"x": "https://example.com:443/a@b"})), [])


if __name__ == "__main__":
    suite.main()
