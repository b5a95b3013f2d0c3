"""Processes of the machine."""

from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether a process is there, and not merely waiting to be reaped by its new parent."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
