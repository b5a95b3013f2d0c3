"""What may stand in ticketdb.toml, and what is said about what may not."""

import re
from pathlib import Path

import pytest

from ticketdb.config import Variables, load_variables, parse_variables
from ticketdb.errors import TicketdbError


def refusal(contents: str, folder: Path) -> str:
    file = folder / "ticketdb.toml"
    file.write_text(contents, encoding="utf-8")
    with pytest.raises(TicketdbError) as caught:
        load_variables(file)
    assert caught.value.code == "E_CONFIG"
    assert caught.value.exit_status == 2
    message = str(caught.value)
    assert "\n" not in message
    assert str(file) in message
    return message


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_variables() == Variables()
    assert Variables().schema == "public"


def test_the_file_of_the_current_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ticketdb.toml").write_text('[variables]\nschema = "shop"\nmanage_roles = false\n')
    assert load_variables() == Variables(schema="shop", manage_roles=False)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(TicketdbError, match=r"absent\.toml: cannot be read"):
        load_variables(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        pytest.param('[variables]\nschema = "sho', "is not TOML: Unterminated string", id="quote"),
        pytest.param("[variables\n", r"is not TOML: .*line 1", id="bracket"),
        pytest.param('[variables]\nschem = "x"', "did you mean 'schema'", id="misspelt key"),
        pytest.param('[variabels]\nschema = "x"', r"one table, \[variables\]", id="misspelt table"),
        pytest.param('schema = "x"', r"one table, \[variables\]", id="no table"),
        pytest.param("variables = 3", r"one table, \[variables\]", id="table is a number"),
        pytest.param("[variables]\nschema = 1", r"variables\.schema: .*string", id="number"),
        pytest.param(
            '[variables]\nmanage_roles = "yes"', r"variables\.manage_roles: .*boolean", id="text"
        ),
        pytest.param(
            '[variables]\nschema = "x"\nmonitoring_schema = "x"',
            "schema and monitoring_schema are both 'x'",
            id="one schema",
        ),
        pytest.param(
            '[variables]\napp_role = "x"\ndatadog_role = "x"',
            "app_role and datadog_role are both 'x'",
            id="one role",
        ),
        pytest.param(
            '[variables]\npurge_job = "x"\ncleanup_job = "x"',
            "cleanup_job and purge_job are both 'x'",
            id="one job",
        ),
    ],
)
def test_a_mistake_is_reported_with_file_key_and_remedy(
    contents: str, message: str, tmp_path: Path
) -> None:
    assert re.search(message, refusal(contents, tmp_path))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema", "", "is empty"),
        ("schema", "x" * 64, "longer than 63 bytes"),
        ("schema", "ä" * 32, "longer than 63 bytes"),
        ("schema", "a$b", r"contains '\$'"),
        ("schema", "a\nb", "a control character"),
        ("schema", "a\x00b", "a control character"),
        ("schema", "a\udc80b", "a control character"),
        ("schema", "pg_shop", "begins with 'pg_'"),
        ("monitoring_schema", "information_schema", "is a schema of PostgreSQL or of an extension"),
        ("schema", "cron", "is a schema of PostgreSQL or of an extension"),
        ("app_role", "public", "cannot name a role"),
        ("monitor_role", "none", "cannot name a role"),
        ("cleanup_job", "", "is empty"),
        ("cleanup_job", "x" * 64, "longer than 63 bytes"),
        ("cleanup_schedule", "x" * 256, "longer than 255 bytes"),
        ("cleanup_job", "a $body$ b", "dollar quote"),
        ("cleanup_job", "a $$ b", "dollar quote"),
        ("cleanup_schedule", "* *\r* * *", "a control character"),
    ],
)
def test_a_value_that_would_not_survive_in_sql_is_refused(
    key: str, value: str, message: str
) -> None:
    with pytest.raises(TicketdbError, match=rf"here: variables\.{key}: .*{message}"):
        parse_variables({"variables": {key: value}}, "here")


def test_names_that_are_odd_but_harmless_are_accepted() -> None:
    given = {"schema": "x" * 63, "monitoring_schema": 'we"ird; --', "cleanup_job": "costs $5"}
    accepted = parse_variables({"variables": given}, "here")
    assert (accepted.schema, accepted.monitoring_schema, accepted.cleanup_job) == tuple(
        given.values()
    )
