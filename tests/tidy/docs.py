#!/usr/bin/env python3
"""The documents say what the code says. Each check is one function; `docs.py ROOT CHECK` runs one.

A check prints `file:line: what differs`; the exit code is 1 if there is anything. Tables of a
document are compared where `<!-- checked: NAME -->` stands above them.
"""
import pathlib
import re
import sys

UNITS = {
    "": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
    "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "days": 86_400_000,
}
CPP_UNITS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000}
PROTOCOL = "docs/protocol.md"


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.problems = []

    def text(self, name):
        return (self.root / name).read_text(encoding="utf-8")

    def documents(self):
        for path in sorted(self.root.rglob("*.md")):
            name = path.relative_to(self.root).as_posix()
            if not name.startswith(("build/", ".git/")):
                yield name

    def say(self, name, line, text):
        self.problems.append(f"{name}:{line}: {text}")

    def compare(self, document, what, found, expected):
        """Two dictionaries: what the document says (with lines), what the code says."""
        for key, value in expected.items():
            if key not in found:
                self.say(document, 1, f"{what} {key} is missing; the code has {value}")
            elif found[key][0] != value:
                line = found[key][1]
                self.say(document, line, f"{what} {key} is {value}, not {found[key][0]}")
        for key in found.keys() - expected.keys():
            self.say(document, found[key][1], f"there is no {what} {key} in the code")


def cells_of(line):
    return [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]


def table(tree, document, name):
    """Rows (line number, cells) of the tables between `checked: NAME` and the next heading."""
    rows = []
    inside = False
    for number, line in enumerate(tree.text(document).split("\n"), 1):
        if line.strip() == f"<!-- checked: {name} -->":
            inside = True
        elif inside and line.startswith("#"):
            inside = False
        elif inside and line.startswith("|") and not set(line) <= set("|-: "):
            rows.append((number, cells_of(line)))
    header = [row for row in rows if row[1][0] in ("number", "limit", "call", "what", "")]
    return [row for row in rows if row not in header]


def cpp_value(expression):
    """A constant of limits.hpp as a number; times in milliseconds."""
    text = expression.replace("'", "")
    text = re.sub(r"\b(\d+)(ms|min|s|h)\b", lambda m: str(int(m[1]) * CPP_UNITS[m[2]]), text)
    text = re.sub(r"\b(\d+)[uUlL]+\b", r"\1", text)
    if not re.fullmatch(r"[\d\s*<()+]+", text):
        raise ValueError(f"'{expression}': teach tests/tidy/docs.py to read this")
    return eval(text)  # digits and operators only, as just checked


def human_value(text):
    number, _, unit = text.partition(" ")
    if unit not in UNITS or not re.fullmatch(r"[\d,]+", number):
        return text
    return int(number.replace(",", "")) * UNITS[unit]


def limits(tree):
    """Every limit with its value."""
    pattern = re.compile(r"inline constexpr [\w:]+ (k\w+) = ([^;]+);")
    expected = {name: cpp_value(value)
                for name, value in pattern.findall(tree.text("common/base/limits.hpp"))}
    found = {cells[0]: (human_value(cells[1]), line)
             for line, cells in table(tree, PROTOCOL, "limits")}
    tree.compare(PROTOCOL, "limit", found, expected)


def errors(tree):
    """Every error code with its number and whether to retry."""
    numbers = dict(re.findall(r"^  (\w+) = (\d+),", tree.text("common/include/chorus/errc.hpp"),
                              re.M))
    flags = dict(re.findall(r"Row\{errc::\w+, \"(\w+)\", (true|false)\}",
                            tree.text("common/base/errc.cpp")))
    expected = {name: f"{number}, retry: {'yes' if flags.get(name) == 'true' else 'no'}"
                for name, number in numbers.items()}
    found = {cells[1]: (f"{cells[0]}, retry: {cells[2]}", line)
             for line, cells in table(tree, PROTOCOL, "errors")}
    tree.compare(PROTOCOL, "error", found, expected)


def frames(tree):
    """Every kind of frame with its number."""
    body = re.search(r"enum class FrameKind[^{]*\{(.*?)\};", tree.text("common/wire/frame.hpp"),
                     re.S)[1]
    expected = {name: number for name, number in re.findall(r"^\s*(\w+) = (\d+),", body, re.M)}
    found = {cells[1]: (cells[0], line) for line, cells in table(tree, PROTOCOL, "frames")}
    tree.compare(PROTOCOL, "frame kind", found, expected)


def proto_fields(text):
    """{"Message": {...}, "Message.field": "number type"} of one .proto file, nested enums apart."""
    found = {}
    stack = []
    for line in re.sub(r"//.*", "", text).split("\n"):
        opened = re.match(r"\s*(message|enum|oneof) (\w+) \{(\})?", line)
        if opened:
            if opened[1] == "message":
                found[opened[2]] = "message"
            if not opened[3]:
                stack.append((opened[1], opened[2]))
            continue
        if line.strip() == "}" and stack:
            stack.pop()
            continue
        field = re.match(r"\s*(?:optional )?(repeated )?([\w.]+) (\w+) = (\d+);", line)
        if field and stack and stack[-1][0] != "enum":
            owner = next(name for kind, name in reversed(stack) if kind == "message")
            kind = f"{field[1] or ''}{field[2]}"
            found[f"{owner}.{field[3]}"] = f"{field[4]} {kind}"
    return found


def messages(tree):
    """Every message of a session with every field: a heading, and a table below it."""
    expected = {}
    for name in ("wire", "plan", "model"):
        expected |= proto_fields(tree.text(f"proto/chorus/v1/{name}.proto"))
    found = {}
    owner = None
    for number, line in enumerate(tree.text(PROTOCOL).split("\n"), 1):
        heading = re.match(r"#+ (.*)", line)
        if heading:
            owner = heading[1].strip("`") if re.fullmatch(r"`\w+`", heading[1]) else None
            if owner:
                found[owner] = ("message", number)
        elif owner and re.match(r"\| \d+ \|", line):
            cells = cells_of(line)
            found[f"{owner}.{cells[1]}"] = (f"{cells[0]} {cells[2]}", number)
    tree.compare(PROTOCOL, "message or field", found, expected)


def admin(tree):
    """Every call of administrators with the role it needs."""
    text = tree.text("proto/chorus/v1/admin.proto")
    calls = re.search(r"oneof call \{(.*?)\}", text, re.S)[1]
    expected = {}
    for message, call in re.findall(r"(\w+) (\w+) = \d+;", calls):
        role = re.search(r"// role: (\w+)[^\n]*\n(?:// [^\n]*\n)*message " + message + r" \{|"
                         r"message " + message + r" \{\}?\s*// role: (\w+)", text)
        expected[call] = (role[1] or role[2]) if role else "unknown"
    found = {cells[0]: (cells[1], line) for line, cells in table(tree, PROTOCOL, "admin")}
    tree.compare(PROTOCOL, "call", found, expected)


def audit(tree):
    """Every word of the audit table."""
    expected = {}
    for path in sorted((tree.root / "server").rglob("*.cpp")):
        text = path.read_text(encoding="utf-8")
        for call in re.findall(r"audit->add\((.*?)\);|AuditRow\{(.*?)\}", text, re.S):
            for word in re.findall(r'"([a-z]+_[a-z_]+)"', call[0] + call[1]):
                expected[word] = "recorded"
    document = "docs/operations.md"
    found = {cells[0]: ("recorded", line) for line, cells in table(tree, document, "audit")}
    tree.compare(document, "audit word", found, expected)


def conflicts(tree):
    """Every pair of plan options that does not go together."""
    text = tree.text("common/tensor/plan_pairs.cpp")
    text = text[text.index("kConflicts[] = {"):]
    pairs = re.findall(r'\{"([^"]+)",\s*"([^"]+)",', text[:text.index("};")])
    document = "docs/plan.md"
    expected = {f"{one} + {other}": "refused" for one, other in pairs}
    found = {f"{cells[0]} + {cells[1]}": ("refused", line)
             for line, cells in table(tree, document, "conflicts")}
    tree.compare(document, "conflict", found, expected)


def quotes(tree):
    """Code quoted from a file (`<!-- quoted: PATH -->` above the fence) is what the file says."""
    for name in tree.documents():
        text = tree.text(name)
        for found in re.finditer(r"<!-- quoted: (\S+) -->\n+```\w*\n(.*?)```", text, re.S):
            line = text.count("\n", 0, found.start()) + 1
            if not (tree.root / found[1]).is_file():
                tree.say(name, line, f"quotes '{found[1]}', which is not there")
            elif tree.text(found[1]) != found[2]:
                tree.say(name, line, f"the code below differs from '{found[1]}': copy it again")


def links(tree):
    """Every relative link leads to a file or folder that is there."""
    for name in tree.documents():
        folder = (tree.root / name).parent
        text = re.sub(r"```.*?```", lambda m: "\n" * m[0].count("\n"), tree.text(name), flags=re.S)
        for number, line in enumerate(text.split("\n"), 1):
            for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", line):
                if "://" not in target and not (folder / target).exists():
                    tree.say(name, number, f"'{target}' is not there")


CHECKS = {
    "limits": limits,
    "errors": errors,
    "frames": frames,
    "messages": messages,
    "admin": admin,
    "audit": audit,
    "conflicts": conflicts,
    "quotes": quotes,
    "links": links,
}


def main():
    if len(sys.argv) != 3 or sys.argv[2] not in CHECKS:
        sys.exit(f"usage: docs.py ROOT {'|'.join(CHECKS)}")
    tree = Tree(sys.argv[1])
    CHECKS[sys.argv[2]](tree)
    for problem in tree.problems:
        print(problem)
    sys.exit(1 if tree.problems else 0)


if __name__ == "__main__":
    main()
