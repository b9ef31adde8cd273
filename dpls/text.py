"""Text from outside: names of files, labels, what damaged files hold. No torch."""

import unicodedata

HIDDEN = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode's categories of control characters, lone surrogates, ends of lines and of paragraphs."""
TURNING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn round the direction in which what follows is read."""


def display(name: str) -> str:
    r"""One line that pages and terminals can show: a byte that is no UTF-8 as ``\xe9``, a new line as ``\n``."""
    return "".join(_escaped(character) for character in name)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # how Python keeps a byte of a name that is no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    hidden = unicodedata.category(character) in HIDDEN or character in TURNING
    return character.encode("unicode_escape").decode() if hidden else character
