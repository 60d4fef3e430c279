#!/usr/bin/env python3
"""Makes the suite's virtual environment below the target directory. Needs Python alone, and PyPI on the first run.

    environment.py        prints the path of its Python
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
REQUIREMENTS = HERE / "requirements.txt"


def target():
    """Where everything that is built or installed goes."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").absolute()


def python():
    """The environment's Python. Installs what the requirements name, unless just that is there."""
    place = target() / "venv-acceptance"
    executable = place / "bin" / "python"
    mark = place / "pins"
    pins = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    # The mark is written last, so that an install that was cut off is done again.
    if not executable.exists() or not mark.exists() or mark.read_text() != pins:
        shutil.rmtree(place, ignore_errors=True)
        venv.create(place, with_pip=True)
        install = [executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", REQUIREMENTS]
        subprocess.run(install, check=True, stdout=sys.stderr)
        mark.write_text(pins)
    return executable


if __name__ == "__main__":
    print(python())
