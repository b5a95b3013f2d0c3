"""Where the SQL and the runbooks are: inside the package once installed, else in a checkout."""

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


def runbooks() -> dict[str, Path]:
    """The pages of the runbooks, by their names without a suffix."""
    folders = (PACKAGE / "runbooks", PACKAGE.parent / "docs" / "runbooks")
    folder = next(folder for folder in folders if folder.is_dir())
    return {page.stem: page for page in sorted(folder.glob("*.md"))}
