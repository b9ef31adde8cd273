"""The one exception a user can cause."""

import re

from dpls.text import display

MOST = 200
"""Characters of a value that a sentence quotes."""
_QUOTED = re.compile(r"""(?<!\w)(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\[[^][]*\])""")
_WORD = re.compile(rf"\S{{{MOST + 1},}}")
_CUT = "…"


class UserError(ValueError):
    """One sentence with what, the value, and the choices; shown as it is, never with a stack trace.

    Values come from outside: of a long one the sentence keeps the beginning, and what no line can show is escaped.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(short(sentence))


def short(sentence: str) -> str:
    """The sentence on one line, with at most 200 characters of each value: of what is quoted, listed, or one word."""
    return _WORD.sub(lambda word: word[0][: MOST - 1] + _CUT, _QUOTED.sub(_cut, display(sentence)))


def _cut(quoted: re.Match[str]) -> str:
    text = quoted[0]
    return text if len(text) <= MOST else f"{text[: MOST - 12]}{_CUT}{text[-1]}"
