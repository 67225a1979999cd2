"""docs/robot-keywords.md is what libdoc says of the keywords. `python -m tests.golden.test_keyword_page` writes it."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from tinydeploy.robot import Deploy, arguments

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "robot-keywords.md"
LIBRARY = "tinydeploy.robot.Deploy"
_INSTALL = "robotframework is not installed: pip install 'tinydeploy[robot]'"

_HEAD = """\
# Keywords of tinydeploy.robot.Deploy

From the library itself; [robot.md](robot.md) is the way in. The same as HTML, with a search, is made by
`python -m robot.libdoc tinydeploy.robot.Deploy keywords.html`.
"""


def page() -> str:
    """The page, from libdoc's model of the library."""
    from robot.libdoc import LibraryDocumentation

    library = LibraryDocumentation(LIBRARY)
    methods = {getattr(m, "robot_name", ""): m for m in vars(Deploy).values()}
    names = [keyword.name for keyword in library.keywords]
    parts = [_HEAD, _markdown(library.doc, names)]
    parts += ["## Importing", _arguments(Deploy.__init__), _markdown(library.inits[0].doc, names)]
    parts += ["## Types"]
    parts += [f"`{kind.__name__}`: {_markdown(inspect.getdoc(kind) or '', names)}" for kind in arguments.CONVERTERS]
    for keyword in library.keywords:
        parts += [f"## {keyword.name}", _arguments(methods[keyword.name]), _markdown(keyword.doc, names)]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def _arguments(method: Any) -> str:
    shown = list(inspect.signature(method).parameters.values())[1:]
    rows = [
        f"| `{p.name}` | {_type(p.annotation)} | {'' if p.default is p.empty else f'`{p.default}`'} |" for p in shown
    ]
    return "\n".join(["| argument | type | default |", "| --- | --- | --- |", *rows]) if rows else ""


def _type(annotation: str) -> str:
    """A type for people: what may be chosen, in place of the name of the choice."""
    named = vars(arguments)
    words = [", ".join(get_args(named.get(word))) or word for word in annotation.split(" | ")]
    return " or ".join(words)


def _markdown(text: str, names: list[str]) -> str:
    """Robot Framework's markup as Markdown, as far as the library uses it."""
    return "\n".join(_lines(text, names))


def _lines(text: str, names: list[str]) -> Iterator[str]:
    inside, before = False, ""
    for line in [*text.splitlines(), ""]:
        example = line.startswith("|")
        if example and not inside and before:
            yield ""
        if example != inside:
            yield "```" if inside else "```robotframework"
        inside, before = example, line
        if example:
            yield line[2:]
        elif heading := re.fullmatch(r"= (.*) =", line):
            yield f"## {heading[1]}"
        else:
            yield re.sub(r"(``.+?``)|`(.+?)`|(?<!\w)\*(\w[^*]*)\*", lambda m: _span(m, names), line)


def _span(match: re.Match[str], names: list[str]) -> str:
    if match[1]:
        return match[1][1:-1]
    if match[3]:
        return f"**{match[3]}**"
    assert match[2] in names, f"there is no keyword '{match[2]}'"
    return f"[{match[2]}](#{match[2].lower().replace(' ', '-')})"


def test_the_page_is_current() -> None:
    pytest.importorskip("robot", reason=_INSTALL)
    assert PAGE.read_text("utf-8") == page(), "run: python -m tests.golden.test_keyword_page"


def test_every_keyword_has_an_example() -> None:
    pytest.importorskip("robot", reason=_INSTALL)
    from robot.libdoc import LibraryDocumentation

    for keyword in LibraryDocumentation(LIBRARY).keywords:
        assert re.search(rf"^\| .*{keyword.name}\b", keyword.doc, re.MULTILINE), keyword.name


def test_libdoc_makes_html(tmp_path: Path) -> None:
    pytest.importorskip("robot", reason=_INSTALL)
    file = tmp_path / "keywords.html"
    done = subprocess.run(
        [sys.executable, "-m", "robot.libdoc", "--pythonpath", str(ROOT), LIBRARY, str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Arena Should Be At Most" in file.read_text("utf-8")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(str(PAGE) + "\n")
