"""sqlfluff lints sql/ as rendered with the variables of .sqlfluff: they must be the real ones."""

import configparser
from dataclasses import asdict
from pathlib import Path

from ticketdb.config import Variables

CONTEXT = "sqlfluff:templater:jinja:context"


def test_sqlfluff_knows_the_template_variables_and_their_defaults() -> None:
    configuration = configparser.ConfigParser(interpolation=None)
    configuration.read(Path(__file__).parents[2] / ".sqlfluff")
    written = {name: value.strip("'") for name, value in configuration[CONTEXT].items()}
    assert written == {name: str(value) for name, value in asdict(Variables()).items()}
