import pytest

from spectra_cli.engines import processors


@pytest.fixture(autouse=True, scope="package")
def one_thread():
    """On a busy machine several BLAS threads wait for each other longer than they compute."""
    with processors.blas_threads(1):
        yield
