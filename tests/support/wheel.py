"""The wheel, built, and environments that have everything that it needs but ticketdb itself."""

import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = ("ticketdb", "_ticketdb", "__editable__")


def build_wheel(folder: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "wheel", *offline, "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("ticketdb-*.whl")
    return wheel


def make_environment(folder: Path) -> Path:
    """Make a virtual environment in which nothing is downloaded. Returns its folder of programs.

    Its site-packages link to what is installed here, for pip takes that as installed there, too.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    for installed in Path(sysconfig.get_path("purelib")).iterdir():
        if not installed.name.startswith(OURS):
            (site_packages / installed.name).symlink_to(installed)
    return folder / "bin"
