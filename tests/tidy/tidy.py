#!/usr/bin/env python3
"""House rules that a compiler does not check. Each is one function; `tidy.py ROOT RULE` runs one.

A rule prints `file:line: what is wrong and what to do`; the exit code is 1 if there is anything.
"""
import pathlib
import re
import shutil
import subprocess
import sys

CODE = (".hpp", ".cpp", ".h", ".c")
TEXT = CODE + (".md", ".txt", ".cmake", ".sh", ".py", ".proto", ".toml", ".sql", ".yml", ".json")
ROOMS = ("kernels", "common", "client", "server", "admin", "tests", "examples", "proto", "deploy")
LINE_MAX = 100
SOURCE_LINES_MAX = 500
TEST_LINES_MAX = 800
HEADER_LINES_MAX = 200

# Layers: what a folder may include, by the first words of the include. The nearest prefix counts.
ALLOWED = {
    "kernels": ("chorus/kernels/", "kernels/"),
    "common": ("chorus/", "common/"),
    "client": ("chorus/", "common/", "client/"),
    "server": ("chorus/", "common/", "server/"),
    "admin": ("chorus/", "common/", "server/config/", "admin/"),
}
FORBIDDEN = {
    "common": ("chorus/client/",),
    "server": ("chorus/client/",),
    "admin": ("chorus/client/",),
    "client": (),
}
# Generated protobuf stays in the sources that turn messages into values and back.
PROTOBUF_FOLDERS = ("common/onnx/", "common/wire/", "server/admin/", "admin/", "tests/")
PROTOBUF_HEADERS = ("common/wire/convert.hpp", "server/admin/to_proto.hpp")
# Longer than a header should be, and not to grow: shorten them when you touch them.
HEADER_LINES_NOW = {
    "common/net/async.hpp": 260,
    "server/round/round_types.hpp": 280,
}
BANNED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
INCLUDE = re.compile(r'\s*#\s*include\s+["<]([^">]+)[">]')


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.problems = []

    def files(self, suffixes, rooms=ROOMS):
        for room in rooms:
            for path in sorted((self.root / room).rglob("*")):
                if path.suffix in suffixes and path.is_file():
                    yield path, path.relative_to(self.root).as_posix()

    def lines(self, path):
        return path.read_text(encoding="utf-8").split("\n")

    def say(self, name, line, text):
        self.problems.append(f"{name}:{line}: {text}")


def layers(tree):
    """kernels <- common <- client, server <- admin; generated code in few sources."""
    for path, name in tree.files(CODE):
        room = name.split("/")[0]
        own = tuple(p.name for p in path.parent.iterdir()) if room in ALLOWED else ()
        for number, line in enumerate(tree.lines(path), 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            included = found.group(1)
            if included.endswith(".pb.h"):
                allowed = name.startswith(PROTOBUF_FOLDERS) and not name.endswith(".hpp")
                allowed = allowed or name in PROTOBUF_HEADERS or room == "tests"
                if not allowed:
                    tree.say(name, number, f"{included}: generated protobuf belongs in the .cpp of "
                             + ", ".join(PROTOBUF_FOLDERS))
                continue
            if '"' not in line or room not in ALLOWED:
                continue
            if included.startswith(FORBIDDEN.get(room, ())):
                tree.say(name, number, f"{included}: {room} must not depend on it")
            elif not included.startswith(ALLOWED[room]) and included not in own:
                tree.say(name, number, f"{included}: {room} may include {', '.join(ALLOWED[room])}")


def coroutines(tree):
    """GCC 12 destroys some temporaries in a co_await expression twice: name them first."""
    brace = re.compile(r"[(,]\s*(?:[A-Za-z_][\w:]*(?:<[^<>()]*>)?)?\s*\{\s*[^}\s]")
    advice = " inside co_await: give it a name, then std::move it"
    capture = re.compile(r"[(,]\s*\[[^\]]+\]\s*(?:\(|\{|mutable|->)")
    for path, name in tree.files(CODE):
        text = "\n".join(re.sub(r"//.*", "", line) for line in tree.lines(path))
        for found in re.finditer(r"\bco_await\b", text):
            expression = awaited(text, found.end())
            line = text.count("\n", 0, found.start()) + 1
            if brace.search(expression):
                tree.say(name, line, "an aggregate made in place" + advice)
            elif capture.search(expression):
                tree.say(name, line, "a capturing lambda" + advice)


def awaited(text, begin):
    """The text of an awaited expression, strings blanked, up to the end of its outermost call."""
    depth = 0
    out = []
    i = begin
    while i < len(text):
        c = text[i]
        if c == '"':
            end = i + 1
            while end < len(text) and text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            out.append('""')
            i = end + 1
            continue
        if c in "([":
            depth += 1
        elif c in ")]":
            depth -= 1
            if depth < 0:
                break
        elif depth == 0 and c in ";,{}":
            break
        out.append(c)
        i += 1
    return "".join(out)


def sizes(tree):
    """Headers, sources and tests stay short, lines at most 100 characters."""
    for path, name in tree.files(CODE + (".py", ".sh", ".proto", ".cmake")):
        lines = tree.lines(path)
        count = len(lines) - 1
        limit = SOURCE_LINES_MAX
        if name.startswith("tests/"):
            limit = TEST_LINES_MAX
        elif path.suffix in (".hpp", ".h"):
            limit = HEADER_LINES_NOW.get(name, HEADER_LINES_MAX)
        if count > limit:
            tree.say(name, count, f"{count} lines; at most {limit}: split it by meaning")
        for number, line in enumerate(lines, 1):
            if len(line) > LINE_MAX and "http" not in line:
                tree.say(name, number, f"{len(line)} characters; at most {LINE_MAX}")


def words(tree):
    """What is not finished is absent; nothing waits in a comment."""
    for path, name in tree.files(TEXT, ROOMS + ("docs", ".ci")):
        for number, line in enumerate(tree.lines(path), 1):
            if BANNED.search(line):
                tree.say(name, number, f"'{BANNED.search(line).group(1)}': do it, or leave it out")
            if line != line.rstrip() and path.suffix != ".md":
                tree.say(name, number, "blanks at the end of the line")
            if "\t" in line and path.suffix in CODE:
                tree.say(name, number, "a tab; use spaces")


def headers(tree):
    """#pragma once in each header, after a comment that says what it is for."""
    for path, name in tree.files((".hpp",)):
        lines = tree.lines(path)
        if not lines[0].startswith(("//", "/*")):
            tree.say(name, 1, "a header begins with a comment that says what it is for")
        if "#pragma once" not in lines:
            tree.say(name, 1, "#pragma once is missing")


def listed(tree):
    """Every source and test is named in its CMakeLists.txt: what is not built is not tested."""
    texts = {}
    for path, name in tree.files((".cpp", ".c")):
        room = name.split("/")[0]
        if room not in texts:
            lists = (tree.root / room).rglob("CMakeLists.txt")
            texts[room] = "\n".join(file.read_text(encoding="utf-8") for file in lists)
        words = re.findall(r"[^\s()/]+\.c(?:pp)?(?=[\s)])", texts[room])
        # "${name}_test.cpp" stands for any name.
        patterns = (re.sub(r"\\\$\\\{\w+\\\}", r"\\w+", re.escape(word)) for word in words)
        if not any(re.fullmatch(pattern, path.name) for pattern in patterns):
            tree.say(name, 1, "is in no CMakeLists.txt")
    for room in ("kernels", "common", "client", "server", "admin", "deploy", "proto", "tests"):
        if not (tree.root / room / "README.md").exists():
            tree.say(room + "/README.md", 1, "each top-level folder has a page that explains it")


def globals_(tree):
    """No singletons: no mutable state that outlives main's parts."""
    pattern = re.compile(r"^(?:static|inline|thread_local)\s+(?!const|constexpr|inline\s+const)"
                         r"[\w:<>,\s*&]+\b\w+\s*(?:=|;|\{[^)]*\};)")
    for path, name in tree.files(CODE, ("kernels", "common", "client", "server", "admin")):
        for number, line in enumerate(tree.lines(path), 1):
            if pattern.match(line) and "(" not in line.split("=")[0]:
                tree.say(name, number, "a mutable global; hand it to those who need it")


def formatting(tree):
    """clang-format 14 changes nothing. Exit code 77 (skipped) where it is not installed."""
    tool = shutil.which("clang-format-14")
    if tool is None:
        print("clang-format-14 is not installed; deploy/install-deps.sh --dev installs it")
        sys.exit(77)
    names = [name for _, name in tree.files(CODE)]
    run = subprocess.run([tool, "--dry-run", *names], cwd=tree.root, text=True, check=False,
                         stderr=subprocess.PIPE)
    wrong = dict.fromkeys(re.findall(r"^(.*?):\d+:\d+: warning: code should be", run.stderr, re.M))
    for name in wrong:
        tree.say(name, 1, "is not formatted; run clang-format-14 -i on it")


RULES = {
    "layers": layers,
    "coroutines": coroutines,
    "sizes": sizes,
    "words": words,
    "headers": headers,
    "listed": listed,
    "globals": globals_,
    "formatting": formatting,
}


def main():
    if len(sys.argv) != 3 or sys.argv[2] not in RULES:
        sys.exit(f"usage: tidy.py ROOT {'|'.join(RULES)}")
    tree = Tree(sys.argv[1])
    RULES[sys.argv[2]](tree)
    for problem in tree.problems:
        print(problem)
    sys.exit(1 if tree.problems else 0)


if __name__ == "__main__":
    main()
