"""The five things one does here; `nox -l` lists them. They run in the environment that nox itself runs in."""

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests", "lint"]


@nox.session
def tests(session):
    """Run the tests that a change must pass, as the README does; arguments go to pytest."""
    session.run("python", "-m", "pytest", "-q", "-n", "auto", *session.posargs)


@nox.session
def slow(session):
    """Run the tests that take longer: the Hub, Ray, browsers, calibrations; arguments go to pytest."""
    session.run("python", "-m", "pytest", "-q", "-n", "auto", "--dist", "loadfile", "-m", "slow", *session.posargs)


@nox.session
def lint(session):
    """Check style, formatting and types."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session
def docs(session):
    """Write the generated pages of docs/ anew, and build the site."""
    session.run("python", "docs/generate.py", env={"COLUMNS": "80"})
    session.run("mkdocs", "build")


@nox.session
def speed(session):
    """Time a scan beside the bare kernels and torch's svdvals; arguments go to the benchmark."""
    session.run("python", "benchmarks/speed.py", *session.posargs)
