"""`python -m toolkit` is `segue`."""

from segue.commands.application import main

main()
