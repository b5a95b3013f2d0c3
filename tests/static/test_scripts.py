"""The scripts that set a machine up: they wait for another apt, and are quiet unless they fail."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"
LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)"


def program(folder: Path, name: str, body: str) -> Path:
    """A shell script on a path of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )


@contextmanager
def lists_locked_by_another(folder: Path) -> Iterator[list[str]]:
    """Lock package lists in a folder of our own; gives the options that make apt use it."""
    lists, cache = folder / "lists", folder / "cache"
    lists.mkdir()
    (cache / "archives" / "partial").mkdir(parents=True)
    with (lists / "lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        yield [
            "-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={cache}",
            "-o", "Dir::Etc::sourcelist=/dev/null", "-o", "Dir::Etc::sourceparts=/dev/null",
        ]  # fmt: skip
        fcntl.lockf(lock, fcntl.LOCK_UN)


@pytest.mark.skipif(not shutil.which("apt-get"), reason="there is no apt here")
def test_package_lists_that_another_apt_has_locked_are_waited_for(tmp_path: Path) -> None:
    with lists_locked_by_another(tmp_path) as options:
        # The control: apt itself does not wait.
        alone = run("apt-get", "-qq", *options, "update", LC_ALL="C")
        assert "Could not get lock" in alone.stderr
        waiting = subprocess.Popen(
            [SCRIPTS / "patient-apt", *options, "update"], stderr=subprocess.PIPE, text=True
        )
        assert waiting.stderr is not None
        said = waiting.stderr.readline()
    _, rest = waiting.communicate(timeout=30)
    assert "waiting for another apt, up to 300 s" in said
    assert f"held by process {os.getpid()}" in said
    assert (waiting.returncode, rest) == (0, "")


def test_waiting_for_another_apt_is_reported_once_and_given_up_in_the_end(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    program(tmp_path, "apt-get", f"echo try >>{tries}; echo '{LOCKED}' >&2; exit 100")
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = run(SCRIPTS / "patient-apt", "update", PATH=path, TICKETDB_APT_PATIENCE="2")
    assert done.returncode == 100
    assert len(tries.read_text().splitlines()) > 1
    first, *apts_own, last = done.stderr.splitlines()
    assert "waiting for another apt, up to 2 s" in first
    assert apts_own == [LOCKED]
    assert "another apt has not ended within 2 s" in last


def test_no_other_failure_of_apt_is_waited_for(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    program(tmp_path, "apt-get", f"echo try >>{tries}; echo 'E: no such package' >&2; exit 100")
    done = run(SCRIPTS / "patient-apt", "install", "x", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (done.returncode, done.stderr) == (100, "E: no such package\n")
    assert tries.read_text() == "try\n"


def test_there_is_one_place_that_runs_apt_get() -> None:
    """Another place would not wait."""
    files = [path for path in SCRIPTS.iterdir() if path.is_file()]
    files += [ROOT / ".ci" / "run", *(ROOT / ".github" / "workflows").iterdir()]
    runs_it = {
        path.name
        for path in files
        for line in path.read_text().splitlines()
        if re.search(r"(^|[ ;|&])apt-get (-\w+ )*\w", line)
        and not re.search(r"#|\becho\b|command -v", line)
    }
    assert runs_it == {"patient-apt"}


def test_a_quiet_command_says_nothing_unless_it_fails() -> None:
    noisy = "echo warning; echo more >&2; exit {}"
    done = run(SCRIPTS / "quietly", "sh", "-c", noisy.format(0))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = run(SCRIPTS / "quietly", "sh", "-c", noisy.format(3))
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "warning\nmore\n")


@pytest.mark.parametrize("status", [0, 1])
def test_an_environment_is_made_in_one_line_a_step_whatever_pip_warns_of(
    tmp_path: Path, status: int
) -> None:
    program(
        tmp_path / "bin",
        "python",
        'case "$*" in *"pip install"*) for n in 1 2 3; do echo "WARNING: ignored" >&2; done;'
        f" exit {status} ;; esac",
    )
    done = run(SCRIPTS / "make-venv", tmp_path)
    assert done.returncode == status
    first, *rest = done.stderr.splitlines()
    assert first == "make-venv: installing requirements-dev.lock"
    assert rest == ["WARNING: ignored"] * (3 if status else 0)


def policy(installed: str, candidate: str) -> str:
    return f"printf 'postgresql-15:\\n  Installed: {installed}\\n  Candidate: {candidate}\\n'"


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("apt-get"),
    reason="only root on a machine with apt is given newer packages",
)
def test_a_server_is_not_replaced_under_those_that_run(tmp_path: Path) -> None:
    """It is what stands between an old package and a newer one; the control has no newer one."""
    installs = tmp_path / "installs"
    program(tmp_path, "apt-get", f'case "$*" in *install*) echo "$*" >>{installs} ;; esac')
    # A server of the distribution, and somebody who runs it.
    answer = "print(15, 'yes', '/usr/lib/postgresql/15/bin')"
    python = program(tmp_path, "python", f'exec {sys.executable} -c "{answer}"')
    program(tmp_path, "readlink", "echo /usr/lib/postgresql/15/bin/postgres")
    path = f"{tmp_path}:{os.environ['PATH']}"

    program(tmp_path, "apt-cache", policy("15.19-0+deb12u1", "15.20-0+deb12u1"))
    done = run(SCRIPTS / "ensure-postgres", "--newest", python, PATH=path)
    assert done.returncode == 3
    assert "a server runs from /usr/lib/postgresql/15/bin" in done.stderr
    assert "15.19-0+deb12u1 can be upgraded to 15.20-0+deb12u1" in done.stderr

    program(tmp_path, "apt-cache", policy("15.20-0+deb12u1", "15.20-0+deb12u1"))
    done = run(SCRIPTS / "ensure-postgres", "--newest", python, PATH=path)
    assert (done.returncode, done.stderr) == (0, "")
    assert not installs.exists()
