"""The files that git knows, read once, and what the C++ ones include."""

import os
import re
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')


class Tree:
    """`files`: path from the top -> text; binary files are left out."""

    def __init__(self, top=TOP):
        self.top = top
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=top,
                                stdout=subprocess.PIPE, check=True).stdout.decode()
        self.files = {}
        self.modes = {}
        for path in filter(None, listed.split("\0")):
            full = os.path.join(top, path)
            if not os.path.isfile(full) or os.path.islink(full):
                continue
            with open(full, "rb") as file:
                data = file.read()
            self.modes[path] = os.stat(full).st_mode
            try:
                self.files[path] = data.decode()
            except UnicodeDecodeError:
                pass

    def cxx(self):
        return sorted(path for path in self.files if path.endswith((".h", ".cc")))

    def includes(self, path):
        """(line number, included path, whether in quotes) of one file."""
        for number, line in enumerate(self.files[path].splitlines(), 1):
            match = INCLUDE.match(line)
            if match:
                yield number, match.group(1) or match.group(2), match.group(1) is not None


def code_lines(text):
    """(line number, line) with comments and the insides of strings blanked, for lints that look for calls."""
    kept, position, state = [], 0, "code"
    raw_end = ""
    while position < len(text):
        char, two = text[position], text[position:position + 2]
        if state == "code":
            if two == "//":
                state = "line"
            elif two == "/*":
                state = "block"
            elif char == '"' and text[position - 1:position] == "R":
                raw_end = ")" + text[position + 1:text.index("(", position)] + '"'
                state = "raw"
                kept.append(char)
                position += 1
                continue
            elif char == '"':
                state = "string"
                kept.append(char)
                position += 1
                continue
            elif char == "'" and not (kept and kept[-1].isalnum()):
                state = "char"
                kept.append(char)
                position += 1
                continue
        if state == "code":
            kept.append(char)
        elif char == "\n":
            kept.append(char)
            state = "code" if state == "line" else state
        elif state == "block" and two == "*/":
            state, position = "code", position + 1
        elif state in ("string", "char"):
            if char == "\\":
                position += 1
            elif char == ('"' if state == "string" else "'"):
                kept.append(char)
                state = "code"
        elif state == "raw" and text.startswith(raw_end, position):
            kept.append('"')
            position += len(raw_end) - 1
            state = "code"
        position += 1
    return list(enumerate("".join(kept).splitlines(), 1))
