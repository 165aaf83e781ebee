"""`python -m spectra_cli.cli`: the command line where the package is not installed as a program."""

import sys

from spectra_cli.cli import main

sys.exit(main())
