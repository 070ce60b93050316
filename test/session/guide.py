"""The guides of doc/, from which tests take exactly the text that an operator would copy.

In a guide a file is a block, indented by four blanks, behind a paragraph whose last line ends with
the file's path and a colon:

    In /etc/postern/postern.conf:

        mail { ... }

A block behind any other paragraph that ends with a colon has that whole line as its name:
commands, queries and what they print.
"""
import pathlib
import re
import textwrap

DOC = pathlib.Path(__file__).resolve().parent.parent.parent / "doc"


def blocks(guide):
    """All blocks of doc/GUIDE in their order, as (name, text)."""
    found, name, held = [], None, []
    for line in (DOC / guide).read_text().splitlines() + ["end"]:
        if line.startswith("    ") or not line:
            held.append(line)
            continue
        text = "\n".join(held).strip("\n")
        if name and text:
            found.append((name, textwrap.dedent(text) + "\n"))
        path = re.search(r"(/\S+):$", line)
        name, held = path.group(1) if path else line if line.endswith(":") else None, []
    return found


def block(guide, name, number=0):
    """The block of that name; of several the one with that number."""
    return [text for found, text in blocks(guide) if found == name][number]


def replaced(text, changes):
    """The text with paths and addresses of the test in place of the guide's; each must be there."""
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in the guide's text:\n{text}"
        text = text.replace(old, str(new))
    return text
