"""The command line: parse, call one job, show. `main` runs one command."""

from spectra_cli.cli.app import main as main
