"""`python -m eagleray`."""

from ._cli import main

main()
