"""Writes drawings as SVG text, readable on light and on dark pages.

A drawing brings its own background, because a page that shows it as an image
does not pass its colours on.
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape

_FONT = "'Segoe UI', Helvetica, Arial, sans-serif"
# By class: attributes on a light page, and on a dark one.
_COLOURS = {
  'page': ('fill:#ffffff;stroke:#d0d7de', 'fill:#161b22;stroke:#30363d'),
  'words': ('fill:#1f2328', 'fill:#e6edf3'),
  'faint': ('fill:#59636e', 'fill:#9198a1'),
  'box': ('fill:#f6f8fa;stroke:#818b98', 'fill:#21262d;stroke:#7d8590'),
  'teacher': ('fill:#ddf4ff;stroke:#0969da', 'fill:#0c2d52;stroke:#4493f8'),
  'generator': ('fill:#fff1d6;stroke:#9a6700', 'fill:#3b2a06;stroke:#d29922'),
  'student': ('fill:#dafbe1;stroke:#1a7f37', 'fill:#0f2f1a;stroke:#3fb950'),
  'flow': ('stroke:#59636e;fill:none', 'stroke:#9198a1;fill:none'),
  'learn': ('stroke:#bc4c00;fill:none', 'stroke:#f0883e;fill:none'),
  'learn_words': ('fill:#bc4c00', 'fill:#f0883e'),
  'flow_tip': ('fill:#59636e', 'fill:#9198a1'),
  'learn_tip': ('fill:#bc4c00', 'fill:#f0883e'),
  'grid': ('stroke:#d0d7de', 'stroke:#30363d'),
  'ours': ('fill:#1a7f37', 'fill:#3fb950'),
  'real': ('fill:#0969da', 'fill:#4493f8'),
  'other': ('fill:#bc4c00', 'fill:#f0883e'),
  'ours_line': ('stroke:#1a7f37;fill:none', 'stroke:#3fb950;fill:none'),
  'other_line': ('stroke:#bc4c00;fill:none', 'stroke:#f0883e;fill:none'),
}


def text(
  x: float, y: float, words: str, kind: str = 'words', anchor: str = 'middle'
) -> str:
  """Writes one line of text.

  Args:
    x: horizontal place of its anchor.
    y: height of its base line.
    words: the text.
    kind: a class of colours.
    anchor: `start`, `middle` or `end`.
  """
  return (
    f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">'
    f'{escape(words)}</text>'
  )


def box(
  x: float, y: float, width: float, height: float, kind: str, *lines: str
) -> str:
  """Draws a box with lines of text in its middle, the first one bold.

  Args:
    x: its left side.
    y: its upper side.
    width: its width.
    height: its height.
    kind: a class of colours.
    *lines: its text.
  """
  shapes = [
    f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" '
    f'height="{height:g}" rx="6"/>'
  ]
  first_line = y + height / 2 - 9 * (len(lines) - 1) + 5
  for number, line in enumerate(lines):
    kind = 'words' if number else 'words" font-weight="600'
    shapes.append(text(x + width / 2, first_line + 18 * number, line, kind))
  return '\n'.join(shapes)


def arrow(points: Sequence[tuple[float, float]], kind: str) -> str:
  """Draws an arrow along points, dashed if it stands for learning.

  Args:
    points: two or more corners, from its start to its tip.
    kind: `flow` or `learn`.
  """
  corners = ' '.join(f'{x:g},{y:g}' for x, y in points)
  dashes = ' stroke-dasharray="6 4"' if kind == 'learn' else ''
  return (
    f'<polyline class="{kind}" points="{corners}" stroke-width="2"{dashes} '
    f'marker-end="url(#{kind}_end)"/>'
  )


def document(width: int, height: int, title: str, shapes: Sequence[str]) -> str:
  """Writes a whole drawing.

  Args:
    width: its width in pixels.
    height: its height in pixels.
    title: what it shows, for those who do not see it.
    shapes: what `text`, `box` and `arrow` returned.
  """
  light, dark = (
    '\n'.join(
      f'.{kind} {{{colours[mode]}}}' for kind, colours in _COLOURS.items()
    )
    for mode in (0, 1)
  )
  tips = '\n'.join(
    f'<marker id="{kind}_end" viewBox="0 0 8 8" refX="7" refY="4" '
    f'markerWidth="6" markerHeight="6" orient="auto">'
    f'<path class="{kind}_tip" d="M0 0L8 4L0 8z"/></marker>'
    for kind in ('flow', 'learn')
  )
  body = '\n'.join(shapes)
  return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} \
{height}" width="{width}" height="{height}" role="img" font-family="{_FONT}" \
font-size="14">
<title>{escape(title)}</title>
<style>
{light}
@media (prefers-color-scheme: dark) {{
{dark}
}}
</style>
<defs>
{tips}
</defs>
<rect class="page" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" \
rx="8"/>
{body}
</svg>
"""


def badge(name: str, fact: str) -> str:
  """Writes a small sign, white on grey and green, for any page.

  Args:
    name: what it is about.
    fact: what it says.
  """
  # No more than an estimate: a page may have another font.
  name_width, fact_width = (7 * len(words) + 14 for words in (name, fact))
  width = name_width + fact_width
  return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{width}" \
height="20" role="img" font-family="{_FONT}" font-size="11" fill="#fff" \
text-anchor="middle">
<title>{escape(name)}: {escape(fact)}</title>
<rect width="{width}" height="20" rx="3" fill="#1a7f37"/>
<path d="M3 0h{name_width - 3}v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3" \
fill="#57606a"/>
<text x="{name_width / 2:g}" y="14">{escape(name)}</text>
<text x="{name_width + fact_width / 2:g}" y="14">{escape(fact)}</text>
</svg>
"""
