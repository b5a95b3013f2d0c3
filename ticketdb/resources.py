"""Where the SQL is: inside the package once installed, beside it in a checkout."""

from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Tree:
    """A source tree of SQL: the live files and the chain of frozen revisions."""

    sql: Path
    migrations: Path

    @property
    def versions(self) -> Path:
        return self.migrations / "versions"


def shipped_tree() -> Tree:
    """The tree that this installation came with."""
    root = PACKAGE if (PACKAGE / "sql").is_dir() else PACKAGE.parent
    return Tree(sql=root / "sql", migrations=root / "migrations")
