#!/usr/bin/env python3
"""Compares common/onnx/onnx_format.proto with the `onnx` package, field by field.

Exit code 77 (skipped) where the package is not installed.
"""
import pathlib
import re
import sys

try:
    import onnx
except ImportError:
    print("the onnx package is not installed (Debian: python3-onnx)")
    sys.exit(77)

OURS = pathlib.Path(__file__).parents[4] / "common/onnx/onnx_format.proto"
FIELD = re.compile(r"(?:(optional|repeated) )?(\w+) (\w+) = (\d+)")


def ours(text):
    """(message path, field, number, repeated), and (enum path, name, number)"""
    scope, fields, values = [], [], []
    for line in text.splitlines():
        line = line.split("//")[0].strip()
        opened = re.match(r"(message|enum|oneof) (\w+) \{", line)
        if opened:
            scope.append((opened.group(1), opened.group(2)))
        elif line == "}":
            scope.pop()
        elif scope and scope[-1][0] == "enum" and "=" in line:
            name, number = line.rstrip(";").split(" = ")
            values.append((".".join(n for _, n in scope), name, int(number)))
        elif scope and FIELD.match(line):
            label, _, name, number = FIELD.match(line).groups()
            path = ".".join(n for kind, n in scope if kind == "message")
            fields.append((path, name, int(number), label == "repeated"))
    return fields, values


def find(path):
    """The class of a message or enum of the package"""
    at = onnx
    for part in path.split("."):
        at = getattr(at, part)
    return at.DESCRIPTOR


def main():
    fields, values = ours(OURS.read_text(encoding="utf-8"))
    assert len(fields) > 40 and len(values) > 10, "the file was not understood"
    wrong = []
    for path, name, number, repeated in fields:
        theirs = find(path).fields_by_name.get(name)
        if theirs is None or theirs.number != number or (theirs.label == 3) != repeated:
            wrong.append(f"{path}.{name} = {number}")
    for path, name, number in values:
        theirs = find(path).values_by_name.get(name)
        if theirs is None or theirs.number != number:
            wrong.append(f"{path}.{name} = {number}")
    print("\n".join(f"differs from the standard: {line}" for line in wrong) or "the same")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
