"""The path of a newcomer: a fresh clone, a fresh environment, and every block of the first pages in order, as pasted.

`.ci/newcomer.py --print` shows the script that it would run. Blocks that begin with `# needs the network` are left out,
and so is the test command, which .ci/run has run. A block that fails ends the path.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/index.md", "docs/tutorial.md")
BLOCK = re.compile(r"^```(bash|sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
NETWORK = "# needs the network\n"


def script() -> str:
    """Return one shell script of all blocks, so that what one of them activates serves those after it."""
    lines = ["set -euo pipefail"]
    for page in PAGES:
        for number, (language, code) in enumerate(BLOCK.findall((ROOT / page).read_text(encoding="utf-8")), 1):
            if code.startswith(NETWORK) or "pytest" in code:
                continue
            lines.append(f"echo '== {page}, block {number}, after '$SECONDS' s' >&2")
            lines.append(f"python - <<'PYTHON'\n{code}PYTHON" if language == "python" else code)
    return "\n".join([*lines, "echo '== all blocks ran, after '$SECONDS' s' >&2"])


def main() -> int:
    """Clone what is committed, and run the script there. Return the exit code of the first block that failed, or 0."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "-q", str(ROOT), f"{folder}/clone"], check=True)
        path = ["bash", "-c", script()]
        return subprocess.run(path, cwd=f"{folder}/clone", stdout=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    if "--print" in sys.argv:
        print(script())
        sys.exit()
    sys.exit(main())
