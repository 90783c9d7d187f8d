#!/usr/bin/env python3
"""Each check of documents finds what it is for, and leaves a true document alone."""
import pathlib
import tempfile
import unittest

import docs


class Checks(unittest.TestCase):
    def problems(self, check, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = pathlib.Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            tree = docs.Tree(folder)
            docs.CHECKS[check](tree)
            return sorted(tree.problems)

    def test_limits(self):
        header = ("inline constexpr std::size_t kA = 64U << 10U;  ///< a\n"
                  "inline constexpr auto kB = 366 * 24h;\ninline constexpr auto kC = 100'000;\n")
        good = ("<!-- checked: limits -->\n| limit | value | of |\n|---|---|---|\n"
                "| `kA` | 64 KiB | x |\n| `kB` | 366 days | x |\n| `kC` | 100,000 | x |\n")
        code = "common/base/limits.hpp"
        self.assertEqual(self.problems("limits", {code: header, docs.PROTOCOL: good}), [])
        bad = good.replace("64 KiB", "64 MiB").replace("| `kC` | 100,000 | x |", "| `kD` | 1 | x |")
        found = self.problems("limits", {code: header, docs.PROTOCOL: bad})
        self.assertEqual(len(found), 3)
        self.assertIn("limit kA is 65536", found[1])

    def test_errors(self):
        code = {
            "common/include/chorus/errc.hpp": "enum\n  busy = 40,  ///< x\n  internal = 90,\n",
            "common/base/errc.cpp": 'Row{errc::busy, "busy", true},\n'
                                    'Row{errc::internal, "internal", false},\n',
        }
        good = ("<!-- checked: errors -->\n| number | error | retry |\n|---|---|---|\n"
                "| 40 | `busy` | yes | x |\n| 90 | `internal` | no | x |\n")
        self.assertEqual(self.problems("errors", code | {docs.PROTOCOL: good}), [])
        for bad in (good.replace("yes", "no"), good.replace("40", "41"),
                    good.replace("`busy`", "`bsy`"), good + "| 91 | `more` | no | x |\n"):
            self.assertNotEqual(self.problems("errors", code | {docs.PROTOCOL: bad}), [])

    def test_messages(self):
        code = {
            "proto/chorus/v1/wire.proto": "message Ready {}\nmessage Offer {\n  enum K {\n"
                                          "    K_UNSPECIFIED = 0;\n  }\n  oneof plan {\n"
                                          "    K a = 4;\n  }\n  repeated Metric m = 8;\n}\n",
            "proto/chorus/v1/plan.proto": "",
            "proto/chorus/v1/model.proto": "",
        }
        good = ("### `Ready`\n\n### `Offer`\n| number | field | type | rule |\n|---|---|---|---|\n"
                "| 4 | `a` | K | |\n| 8 | `m` | repeated Metric | |\n\n## Rest\n| 1 | x |\n")
        self.assertEqual(self.problems("messages", code | {docs.PROTOCOL: good}), [])
        for bad in (good.replace("| 8 |", "| 9 |"), good.replace("repeated ", ""),
                    good.replace("### `Ready`", ""), good.replace("| 4 | `a` | K | |\n", "")):
            self.assertNotEqual(self.problems("messages", code | {docs.PROTOCOL: bad}), [])

    def test_admin(self):
        code = {"proto/chorus/v1/admin.proto":
                "message AdminRequest {\n  oneof call {\n    A a = 1;\n    B b = 2;\n  }\n}\n"
                "// role: operator. Text.\n// More.\nmessage A {\n}\n"
                "message B {}  // role: viewer\n"}
        good = ("<!-- checked: admin -->\n| call | role | what |\n|---|---|---|\n"
                "| `a` | operator | x |\n| `b` | viewer | x |\n")
        self.assertEqual(self.problems("admin", code | {docs.PROTOCOL: good}), [])
        bad = good.replace("viewer", "owner")
        self.assertEqual(len(self.problems("admin", code | {docs.PROTOCOL: bad})), 1)

    def test_audit(self):
        code = {"server/a.cpp": 'context.audit->add(who(),\n    "task_declined", why + "x");\n'
                                'rows.push_back(AuditRow{now(), "chorusd", "audit_overflow", ""});'}
        good = ("<!-- checked: audit -->\n| what | means |\n|---|---|\n"
                "| `task_declined` | x |\n| `audit_overflow` | x |\n")
        self.assertEqual(self.problems("audit", code | {"docs/operations.md": good}), [])
        bad = good.replace("audit_overflow", "overflow")
        self.assertEqual(len(self.problems("audit", code | {"docs/operations.md": bad})), 2)

    def test_conflicts(self):
        code = ('kConflicts[] = {\n    {"a", "b", kWhy},\n    {"c", "d, e",\n     "x"},\n};\n'
                '{"z", "y", "x"}')
        page = "<!-- checked: conflicts -->\n| what | with | why |\n|---|---|---|\n"
        page += "| `a` | `b` | x |\n"
        files = {"common/tensor/plan_pairs.cpp": code}
        found = self.problems("conflicts", files | {"docs/plan.md": page})
        self.assertEqual(len(found), 1)
        self.assertIn("c + d, e", found[0])
        page += "| `c` | `d, e` | x |\n"
        self.assertEqual(self.problems("conflicts", files | {"docs/plan.md": page}), [])

    def test_quotes(self):
        page = "text\n<!-- quoted: a/main.cpp -->\n```cpp\nint a;\n```\n"
        self.assertEqual(self.problems("quotes", {"a.md": page, "a/main.cpp": "int a;\n"}), [])
        for files in ({"a/main.cpp": "int b;\n"}, {}):
            found = self.problems("quotes", {"a.md": page} | files)
            self.assertEqual([problem.split(": ")[0] for problem in found], ["a.md:2"])

    def test_links(self):
        page = "[a](b/c.md) [b](b) [web](https://x.example/y) [here](#x)\n```\n[no](d)\n```\n"
        self.assertEqual(self.problems("links", {"a.md": page, "b/c.md": "[up](../a.md#x)"}), [])
        found = self.problems("links", {"a.md": page, "b/c.md": "[up](a.md)"})
        self.assertEqual([problem.split(": ")[0] for problem in found], ["b/c.md:1"])


if __name__ == "__main__":
    unittest.main()
