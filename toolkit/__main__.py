"""`python -m toolkit` is `segue`."""

from toolkit.cli import main

main()
