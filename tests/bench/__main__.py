"""Run all benchmarks and refresh the tables of docs/performance.md: `python -m tests.bench [NAME ...]`.

Only the part between the markers of a benchmark is replaced; the words around it stay.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "performance.md"
BY_HAND = {"ablation": "docs/prior.md", "estimators": "docs/estimators.md", "motions": "docs/track.md", "prior": "docs/prior.md"}
"""Those that take hours or train networks, with the page that has their figures."""


def names() -> list[str]:
    """All benchmarks of this page, by name."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if path.stem not in BY_HAND)


def machine() -> str:
    """What the figures were taken on, without the machine's name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE) if Path("/proc/cpuinfo").exists() else None
    load = f", load average {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    kind = model[1] if model else platform.machine()
    return f"{kind}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()}, Python {platform.python_version()}{load}"


def run(name: str) -> dict[str, float]:
    """The figures of one benchmark: the flat JSON object on the last line of its output."""
    done = subprocess.run([sys.executable, "-m", f"tests.bench.{name}", "--json"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def table(name: str, figures: dict[str, float], where: str) -> str:
    """The markdown that stands between the markers."""
    rows = "\n".join(f"| {key} | {value:g} |" if isinstance(value, (int, float)) else f"| {key} | {value} |" for key, value in figures.items())
    return f"`python -m tests.bench.{name} --json`, {datetime.date.today()}, {where}\n\n| figure | value |\n| --- | ---: |\n{rows}\n"


def refresh(page: str, name: str, content: str) -> str:
    """The page with the content of one benchmark replaced, or appended in a section of its own."""
    block = f"<!-- bench {name} -->\n{content}<!-- end {name} -->"
    pattern = re.compile(rf"<!-- bench {name} -->.*?<!-- end {name} -->", re.DOTALL)
    return pattern.sub(lambda _: block, page) if pattern.search(page) else f"{page.rstrip()}\n\n## {name}\n{block}\n"


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    chosen = sys.argv[1:] or names()
    unknown = sorted(set(chosen) - set(names()))
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join(names())}")
    for name in chosen:
        where = machine()
        print(f"== {name}", file=sys.stderr)
        content = table(name, run(name), where)
        PAGE.write_text(refresh(PAGE.read_text() if PAGE.exists() else "# Performance\n", name, content))


if __name__ == "__main__":
    main()
