"""Headless Chromium for tests of pages: Debian's `chromium` package, driven by playwright.

Looked for in $AKD_CHROMIUM and on the PATH; nothing is downloaded. Where it or playwright is missing the tests are
skipped and say so.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest

FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
"""WebGL is drawn by the CPU; containers have no user namespaces for the sandbox."""


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A running browser (playwright's Browser)."""
    program = os.environ.get("AKD_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        pytest.skip("no Chromium: install Debian's package chromium, or name one in AKD_CHROMIUM")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("playwright is not installed: pip install playwright")
    with sync_playwright() as drivers:
        browser = drivers.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser: Any, address: str, *, width: int = 760, height: int = 520, **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page of the browser and the list of what went wrong on it: errors, warnings, requests beyond the address."""
    trouble: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    page.on("console", lambda message: trouble.append(f"console {message.type}: {message.text}") if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    page.on("request", lambda request: None if request.url.startswith((address, "blob:", "data:")) else trouble.append(f"request: {request.url}"))
    page.on("dialog", lambda dialog: (trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.goto(address)
    try:
        yield page, trouble
    finally:
        context.close()


def until(page: Any, expression: str, seconds: float = 30.0) -> None:
    """Wait until a JavaScript expression is true; from outside, because the pages' policy forbids waiting inside."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(30)
