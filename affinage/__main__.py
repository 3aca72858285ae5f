"""`python -m affinage <command>`: the command line, uninstalled."""

from affinage.command_line import main

main()
