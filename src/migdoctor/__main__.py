"""`python -m migdoctor`."""

from migdoctor.cli import main

main()
