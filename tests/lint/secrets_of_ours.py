"""What must never be committed: keys, tokens, passwords in URLs. A made-up one in a test says `lint: not a secret`."""

import re

PATTERNS = (
    ("a private key", re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\n(?:[A-Za-z0-9+/=]{60,}\n){3}")),
    ("an AWS access key", re.compile(r"\bAKIA[0-9A-Z]{16}\b")),
    ("a GitHub token", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b")),
    ("a Slack token", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}")),
    ("a JSON web token", re.compile(r"\beyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}")),
    ("a password in a URL", re.compile(r"\bhttps?://[^/\s:@\"']+:(?!password@|secret@)[^/\s:@\"']{3,}@")),
)


def check(tree):
    problems = []
    for path, text in sorted(tree.files.items()):
        lines = text.splitlines()
        for what, pattern in PATTERNS:
            for match in pattern.finditer(text):
                number = text.count("\n", 0, match.start()) + 1
                if "lint: not a secret" not in "\n".join(lines[max(0, number - 2):number]):
                    problems.append(f"{path}:{number}: looks like {what}")
    return problems
