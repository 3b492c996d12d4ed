"""The page itself: modules of JavaScript, style and data in one file that opens from a disk.

The modules in `page/` are ordinary ones, which Node runs in tests and a server can hand out as they are. Here they
are put one behind the other, each after those it imports, without their imports and exports: so a name at the top
of a module must be the only one of all of them, and nothing is imported under another name (a test sees to both).

The page says which script it is, by its digest, and the browser runs no other and asks for nothing from elsewhere:
whatever was recorded stays text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from hydroscope.scope.timeline import Timeline
from hydroscope.scope.viewer.pack import pack

__all__ = ["joined", "write_html"]

MAIN = "main.js"
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=class|const|let|function|async)", re.MULTILINE)


def write_html(timeline: Timeline, path: str | Path, *, other: Timeline | None = None, title: str = "") -> Path:
    """Write a timeline as one page that shows it in any browser, without a server or a network.

    Parameters
    ----------
    timeline : Timeline
    path : str or path
        Of the file; what was there is replaced.
    other : Timeline, optional
        Shown below the first for comparison, with the first divergence marked.
    title : str
        By default the names of the nodes.

    Returns
    -------
    Path
        Of the file.

    Notes
    -----
    Cost: some seconds and 10 to 20 MB for a million records.
    """
    target = Path(path)
    boxes = [pack(timeline, title)]
    if other is not None:
        boxes.append(pack(other, comparison=timeline.compare(other)))
    data = "\n".join(
        f'<script type="application/octet-stream" data-timeline="{k}">{base64.b64encode(box).decode()}</script>'
        for k, box in enumerate(boxes)
    )
    script = joined()
    parts = {
        "title": html.escape(title or "Timeline"),
        "digest": f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}",
        "style": _read("style.css"),
        "data": data,
        "script": script,
    }
    page = re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _read("page.html"))
    target.write_text(page, encoding="utf-8")
    return target


@cache
def joined() -> str:
    """Return all modules in one, each after those that it imports. Cost: reading some files, once."""
    done: dict[str, str] = {}

    def add(name: str) -> None:
        if name in done:
            return
        text = _read(name)
        done[name] = ""  # two that import each other: whoever came first is second
        for each in _IMPORT.findall(text):
            add(each)
        del done[name]
        done[name] = f"// {name}\n{_EXPORT.sub('', _IMPORT.sub('', text))}"

    add(MAIN)
    return "\n".join(done.values()).replace("</script", "<\\/script")


def _read(name: str) -> str:
    return files(__package__).joinpath("page", name).read_text(encoding="utf-8")
