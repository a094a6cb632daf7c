"""`python -m akd_cli` is `akd`."""

from .app import main

main()
