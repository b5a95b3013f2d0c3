"""The monitoring guide, and the queries in it."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.support.names import NAMES
from ticketdb.private_server import SUPERUSER

GUIDE = Path(__file__).parents[3] / "shared" / "guide" / "ticketing-monitoring-guide.md"


@dataclass(frozen=True)
class Block:
    """A query of the guide. `id`: the heading above it, and a number from the second on."""

    id: str
    query: str

    @property
    def asks_pg_cron(self) -> bool:
        return "cron.job" in self.query

    @property
    def role(self) -> str:
        """Whom it is for: only the owner sees all columns of the tables."""
        everything = re.match(r"\s*SELECT\s+\*", self.query)
        if everything and "reservation_cleanup_job_status" not in self.query:
            return SUPERUSER
        return NAMES.dashboard_role


def read_guide(text: str) -> list[Block]:
    blocks: list[Block] = []
    heading, seen = "", Counter[str]()
    # Fences of every language, because a comment in one looks like a heading.
    for match in re.finditer(
        r"^ *```(?P<language>\w*)\n(?P<code>.*?)^ *```$|^#+ (?P<heading>[^\n]+)$",
        text,
        flags=re.MULTILINE | re.DOTALL,
    ):
        if match["heading"]:
            heading = re.sub(r"\W+", "-", match["heading"].lower()).strip("-")
        elif match["language"] == "sql":
            seen[heading] += 1
            number = f"-{seen[heading]}" if seen[heading] > 1 else ""
            blocks.append(Block(heading + number, match["code"]))
    return blocks


BLOCKS = read_guide(GUIDE.read_text()) if GUIDE.exists() else []
