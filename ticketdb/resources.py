"""Where the SQL is: inside the package once installed, beside it in a checkout."""

from dataclasses import dataclass
from pathlib import Path


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
    package = Path(__file__).resolve().parent
    root = package if (package / "sql").is_dir() else package.parent
    return Tree(sql=root / "sql", migrations=root / "migrations")


def package_sql(name: str) -> str:
    """A query of ticketdb's own, as a template."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
