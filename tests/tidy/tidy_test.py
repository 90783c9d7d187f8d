#!/usr/bin/env python3
"""Each tidy rule finds what it is for, and leaves good code alone."""
import pathlib
import tempfile
import unittest

import tidy

UNFINISHED = "TO" + "DO"


class Rules(unittest.TestCase):
    def problems(self, rule, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            tree = tidy.Tree(folder)
            tidy.RULES[rule](tree)
            return [problem.split(": ")[0] for problem in tree.problems]

    def test_layers(self):
        good = {
            "kernels/a.cpp": '#include "chorus/kernels/kernels.hpp"\n#include "table.hpp"\n',
            "kernels/table.hpp": "",
            "common/net/a.cpp": '#include <vector>\n#include "common/base/try.hpp"\n',
            "server/a.cpp": '#include "common/base/try.hpp"\n#include "server/b.hpp"\n',
            "admin/a.cpp": '#include "server/config/a.hpp"\n#include "chorus/v1/admin.pb.h"\n',
        }
        self.assertEqual(self.problems("layers", good), [])
        bad = {
            "kernels/a.cpp": '#include "common/base/try.hpp"\n',
            "common/a.cpp": '#include "server/a.hpp"\n',
            "server/a.cpp": '\n#include "client/src/a.hpp"\n#include "chorus/v1/wire.pb.h"\n',
            "server/b.cpp": '#include "chorus/client/client.hpp"\n',
            "common/wire/a.hpp": '#include "chorus/v1/wire.pb.h"\n',
        }
        self.assertEqual(
            sorted(self.problems("layers", bad)),
            ["common/a.cpp:1", "common/wire/a.hpp:1", "kernels/a.cpp:1", "server/a.cpp:2",
             "server/a.cpp:3", "server/b.cpp:1"],
        )

    def test_coroutines(self):
        bad = {
            "common/a.cpp": "co_await f(Options{1, 2});\n",
            "common/b.cpp": "co_await f(x,\n  {.a = 1});\n",
            "common/c.cpp": "\nco_await f([&] { g(); });\n",
            "common/d.cpp": "CHORUS_CO_TRY(auto x, co_await f(a, [this](int i) { g(i); }));\n",
        }
        self.assertEqual(sorted(self.problems("coroutines", bad)),
                         ["common/a.cpp:1", "common/b.cpp:1", "common/c.cpp:2", "common/d.cpp:1"])
        good = {
            "common/a.cpp": "co_await f(std::move(options));\nif (co_await g(x)) { return {1}; }\n",
            "common/b.cpp": '// co_await f({1})\nco_await f("{a}", Duration{});\n',
            "common/c.cpp": "co_await f([](int i) { return i; });\nh({1, 2});\n",
            "common/d.cpp": "CHORUS_CO_OK(co_await f(values[i], table[3](x)));\n",
        }
        self.assertEqual(self.problems("coroutines", good), [])

    def test_sizes(self):
        files = {
            "server/a.cpp": "x\n" * 501,
            "server/b.cpp": "x\n" * 500,
            "server/a.hpp": "x\n" * 201,
            "tests/a_test.cpp": "x\n" * 801,
            "tests/b_test.cpp": "ä" * 100 + "\n",
            "tests/c_test.cpp": "x" * 101 + "\n",
        }
        self.assertEqual(sorted(self.problems("sizes", files)),
                         ["server/a.cpp:501", "server/a.hpp:201", "tests/a_test.cpp:801",
                          "tests/c_test.cpp:1"])

    def test_words(self):
        files = {
            "server/a.cpp": f"// {UNFINISHED}: later\n",
            "docs/a.md": f"x\n{UNFINISHED}\n",
            "server/b.cpp": f"int my{UNFINISHED}s;\nint a; \n\tint b;\n",
        }
        self.assertEqual(sorted(self.problems("words", files)),
                         ["docs/a.md:2", "server/a.cpp:1", "server/b.cpp:2", "server/b.cpp:3"])

    def test_headers(self):
        files = {
            "server/a.hpp": "// What it is.\n#pragma once\n",
            "server/b.hpp": "#pragma once\n",
            "server/c.hpp": "// What it is.\n",
        }
        found = sorted(self.problems("headers", files))
        self.assertEqual(found, ["server/b.hpp:1", "server/c.hpp:1"])

    def test_listed(self):
        files = {f"{room}/README.md": "" for room in
                 ("kernels", "common", "client", "admin", "deploy", "proto", "tests")}
        files |= {"common/a.cpp": "", "common/b.cpp": "", "common/sub/c.cpp": "",
                  "common/d_test.cpp": "",
                  "common/CMakeLists.txt": "add_library(x a.cpp\n  sub/c.cpp ${x}_test.cpp)\n"}
        self.assertEqual(sorted(self.problems("listed", files)),
                         ["common/b.cpp:1", "server/README.md:1"])

    def test_globals(self):
        files = {
            "server/a.cpp": "static int counter = 0;\nstatic int f(int x);\n",
            "server/c.cpp": "static const int k = 1;\n",
            "server/b.cpp": "inline constexpr int k = 1;\ninline std::mutex lock;\n",
        }
        found = sorted(self.problems("globals", files))
        self.assertEqual(found, ["server/a.cpp:1", "server/b.cpp:2"])


if __name__ == "__main__":
    unittest.main()
