"""The page around tables and plots: one self-contained HTML file, light or dark."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from hydroscope.cli.report.plots import Figure
from hydroscope.ground.errors import UserError

__all__ = ["cards", "figure", "page", "plotly_script", "section", "table", "tiles"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
"""What the page may do: nothing but draw itself. A browser refuses anything fetched."""

STYLE = """
:root { color-scheme: light dark; --page: #f5f6f8; --card: #ffffff; --text: #1c2430; --dim: #5d6878;
  --rule: #e2e6ec; --accent: #2f6fde; --good: #e8f1ff; }
@media (prefers-color-scheme: dark) { :root { --page: #10141a; --card: #181e27; --text: #e6eaf0; --dim: #98a3b3;
  --rule: #2a3340; --accent: #6ea0ff; --good: #1b2c4a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); line-height: 1.5;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
header h1 { font-size: 28px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
header p { margin: 0; color: var(--dim); max-width: 76ch; }
h2 { font-size: 17px; margin: 0 0 2px; }
.note { color: var(--dim); margin: 0 0 12px; max-width: 82ch; font-size: 13.5px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 24px 0; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 12px 16px; }
.tile b { display: block; font-size: 24px; font-weight: 650; font-variant-numeric: tabular-nums; line-height: 1.25; }
.tile span { color: var(--dim); font-size: 13px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 16px; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 16px 20px;
  margin-bottom: 16px; min-width: 0; }
.cards section { margin-bottom: 0; }
.cards { margin-bottom: 16px; }
.plot { width: 100%; height: 380px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 13.5px; }
th, td { padding: 5px 12px 5px 0; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--dim); font-weight: 600; }
th.left, td.left { text-align: left; white-space: normal; }
tbody tr:last-child td { border-bottom: 0; }
td.hit { background: var(--good); font-weight: 650; }
footer { color: var(--dim); font-size: 13px; margin-top: 24px; }
@media print { section, .tile { break-inside: avoid; } }
"""

SCRIPT = """
const figures = JSON.parse(document.getElementById("figures").textContent);
const of = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
function themed(layout) {
  const axis = { gridcolor: of("--rule"), linecolor: of("--rule"), tickcolor: of("--rule") };
  const copy = structuredClone(layout);
  copy.font = { color: of("--text"), size: 13, family: getComputedStyle(document.body).fontFamily };
  for (const key of Object.keys(copy)) if (/^[xy]axis/.test(key)) copy[key] = { ...axis, ...copy[key] };
  copy.hoverlabel = { bgcolor: of("--card"), bordercolor: of("--rule"), font: { color: of("--text") } };
  return copy;
}
function draw() {
  for (const [id, figure] of Object.entries(figures))
    Plotly.react(id, figure.data, themed(figure.layout),
      { responsive: true, displayModeBar: false });
}
draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
"""


def plotly_script() -> str:
    """Return the text of plotly.js, as the `plotly` package ships it, without importing that package."""
    found = find_spec("plotly")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    for place in places:
        path = Path(place) / "package_data" / "plotly.min.js"
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise UserError("a report needs the plotly package for its plots; pip install 'hydroscope[report]'")


def tiles(pairs: Sequence[tuple[str, str]]) -> str:
    """Return a row of figures, each with its name."""
    inner = "".join(
        f'<div class="tile"><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>' for name, value in pairs
    )
    return f'<div class="tiles">{inner}</div>'


def section(title: str, note: str, *blocks: str) -> str:
    """Return a titled box; `title` and `note` are plain text, `blocks` are HTML."""
    remark = f'<p class="note">{html.escape(note)}</p>' if note else ""
    return f"<section><h2>{html.escape(title)}</h2>{remark}{''.join(blocks)}</section>"


def cards(*sections: str) -> str:
    """Return sections side by side where there is room."""
    return f'<div class="cards">{"".join(sections)}</div>'


def figure(name: str, label: str) -> str:
    """Return the place of the figure `name`; `label` says in words what it shows."""
    return f'<div class="plot" id="{html.escape(name)}" role="img" aria-label="{html.escape(label)}"></div>'


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = (), hit: Sequence[tuple[int, int]] = ()
) -> str:
    """Return a table of plain texts; columns named in `left` align left, cells in `hit` (row, column) stand out."""
    sides = [' class="left"' if name in left else "" for name in columns]
    head = "".join(f"<th{side}>{html.escape(name)}</th>" for name, side in zip(columns, sides, strict=True))
    marked = set(hit)
    body = []
    for i, row in enumerate(rows):
        classes = [' class="hit"' if (i, j) in marked else side for j, side in enumerate(sides)]
        cells = (f"<td{each}>{html.escape(cell)}</td>" for each, cell in zip(classes, row, strict=True))
        body.append(f"<tr>{''.join(cells)}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def page(title: str, lead: str, body: str, figures: dict[str, Figure], footer: str) -> str:
    """Return the whole file. `title`, `lead` and `footer` are plain text, `body` is HTML."""
    data = json.dumps(figures, allow_nan=False).replace("<", "\\u003c")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f"<script>{plotly_script()}</script></head><body><main>",
            f"<header><h1>{html.escape(title)}</h1><p>{html.escape(lead)}</p></header>",
            body,
            f"<footer>{html.escape(footer)}</footer></main>",
            f'<script id="figures" type="application/json">{data}</script>',
            f"<script>{SCRIPT}</script></body></html>",
        ]
    )
