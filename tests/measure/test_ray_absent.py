"""What is said where Ray is not installed, and that nobody waits for it who did not ask."""

import subprocess
import sys

import pytest

SCAN = "from spectra_cli.cli.app import main; raise SystemExit(main(['scan', {source!r}, '-o', {output!r}, *{more!r}]))"


def scan(first, kept_run, tmp_path, *more):
    script = first + SCAN.format(source=str(kept_run), output=str(tmp_path / "a.parquet"), more=more)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


def test_two_lines_say_how_to_install_it(kept_run, tmp_path):
    done = scan("import sys; sys.modules['ray'] = None\n", kept_run, tmp_path, "--engine", "ray")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2
    assert "pip install 'spectra-scan[ray]'" in done.stderr


@pytest.mark.slow  # 3 s: a process of its own
def test_a_scan_on_this_machine_does_not_need_it(kept_run, tmp_path):
    done = scan("import sys; sys.modules['ray'] = None\n", kept_run, tmp_path, "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
