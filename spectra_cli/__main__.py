"""`python -m spectra_cli`: the command line where the package is not installed as a program."""

import sys

from spectra_cli.cli import main

if __name__ == "__main__":
    sys.exit(main())
