"""Hooks of the documentation's site (mkdocs.yml): equations become MathML, and nothing is fetched from the network.

Equations are written as GitHub reads them: blocks fenced as ```math, and $`...`$ within a line.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

BLOCK = re.compile(r'<pre><code class="language-math">(.*?)</code></pre>', re.S)
FOREIGN = re.compile(r"<script src=.?https://unpkg.com/iframe-worker/shim.?>")
SEARCH = "search-from-disk.js"
INLINE = re.compile(r"\$<code>(.*?)</code>\$", re.S)


def on_page_content(content: str, **_: Any) -> str:
    """Replace the equations of a page, which mkdocs hands over as HTML."""
    content = BLOCK.sub(lambda match: f'<div class="math">{mathml(match[1], "block")}</div>', content)
    return INLINE.sub(lambda match: mathml(match[1], "inline"), content)


def mathml(escaped: str, display: str) -> str:
    """An equation in LaTeX, escaped for HTML, as MathML, which browsers draw without a script."""
    return convert(" ".join(html.unescape(escaped).split()), display=display)


def on_post_build(config: Any, **_: Any) -> None:
    """Let the theme's search, when the site is opened from disk, load its helper from the site instead of from a server."""
    site = Path(config["site_dir"])
    for page in site.rglob("*.html"):
        above = "../" * (len(page.relative_to(site).parts) - 1)
        page.write_text(FOREIGN.sub(f'<script src="{above}{SEARCH}">', page.read_text(encoding="utf-8")), encoding="utf-8")
