"""Entry point of `python -m segue`, which runs the command `segue`."""

from segue.commands.application import main

main()
