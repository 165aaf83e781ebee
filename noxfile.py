"""What one does here; `nox -l` lists them. They run in the environment that nox itself runs in."""

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests", "lint"]

LOWEST = (
    "tests/metrics/test_against_mpmath.py",
    "tests/svd",
    "tests/storage",
    "tests/cli/test_cli.py",
    "tests/cli/test_golden.py",
)

SLOW = ("--dist", "loadfile", "--no-loadscope-reorder", "-m", "slow")  # as in .ci/run, which says why


@nox.session
def tests(session):
    """Run the tests that a change must pass, as the README does; arguments go to pytest."""
    session.run("python", "-m", "pytest", "-q", "-n", "auto", *session.posargs)


@nox.session
def slow(session):
    """Run the tests that take longer: the Hub, Ray, browsers, calibrations; arguments go to pytest."""
    session.run("python", "-m", "pytest", "-q", "-n", "auto", *SLOW, *session.posargs)


@nox.session
def coverage(session):
    """Measure which lines and branches of the package all tests reach, processes included; fail below 92%.

    Measuring slows everything: a test that has a limit of time may miss it here, and that ends nothing.
    """
    pytest = ("python", "-m", "pytest", "-q", "-n", "auto", "--cov", "--cov-report=", *session.posargs)
    session.run("coverage", "erase")
    session.run(*pytest, success_codes=[0, 1])
    session.run(*pytest, "--cov-append", *SLOW, success_codes=[0, 1])
    session.run("coverage", "report", "--fail-under", "92")


@nox.session(venv_backend="venv")
def lowest(session):
    """Run the tests of the numbers, tables and commands with the lowest versions that pyproject.toml allows."""
    session.install("uv")
    session.run("uv", "pip", "install", "--resolution", "lowest-direct", "-e", ".[report]")
    session.run("uv", "pip", "install", "hypothesis", "mpmath", "pytest")
    session.run("python", "-m", "pytest", "-q", *(session.posargs or LOWEST))


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
