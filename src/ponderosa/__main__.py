"""`python -m ponderosa`."""

from ponderosa.cli import main

main()
