"""Templates: SQL with a closed list of variables, each of which quotes itself.

``{{ schema }}`` is a quoted identifier, ``{{ cleanup_job }}`` a quoted literal, and
``{{ schema | literal }}`` the name as a literal, for catalog look-ups. Nothing else can reach the
output: a bare string, a number or an attribute is refused, so a name full of quotes and semicolons
is a name full of quotes and semicolons.
"""

from dataclasses import dataclass, fields

from jinja2 import DictLoader, StrictUndefined, TemplateError, TemplateSyntaxError, Undefined
from jinja2.sandbox import SandboxedEnvironment
from psycopg import sql

from ticketdb.config import IDENTIFIERS, Variables
from ticketdb.errors import ExitStatus, TicketdbError


@dataclass(frozen=True)
class Quoted:
    """A value on its way into SQL: what it is, and how it is written there."""

    value: str
    is_identifier: bool

    def as_sql(self) -> str:
        # A literal with a backslash becomes E'…', which means the same whatever
        # standard_conforming_strings says when a function body is parsed, years later.
        wrapped = sql.Identifier(self.value) if self.is_identifier else sql.Literal(self.value)
        return wrapped.as_string(None)


def _literal(value: object) -> Quoted:
    if not isinstance(value, Quoted):
        raise TemplateError("the filter 'literal' takes a template variable")
    return Quoted(value.value, is_identifier=False)


def _finalize(value: object) -> str:
    if isinstance(value, Quoted):
        return value.as_sql()
    if isinstance(value, Undefined):
        return str(value)  # raises, with the name of what is missing
    raise TemplateError(f"{value!r} may not be written into SQL: only template variables may")


def _environment() -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        loader=DictLoader({}),  # nothing to include: a revision never reads another file
        undefined=StrictUndefined,
        autoescape=False,  # the output is SQL, not HTML
        keep_trailing_newline=True,
        finalize=_finalize,
    )
    environment.globals.clear()
    environment.filters.clear()
    environment.filters["literal"] = _literal
    return environment


_ENVIRONMENT = _environment()


def context_of(variables: Variables) -> dict[str, Quoted | bool]:
    """The variables as templates see them."""
    context: dict[str, Quoted | bool] = {}
    for field in fields(variables):
        value = getattr(variables, field.name)
        context[field.name] = (
            value if isinstance(value, bool) else Quoted(value, field.name in IDENTIFIERS)
        )
    return context


def render(template: str, variables: Variables, name: str = "SQL", **more: str | bool) -> str:
    """Fill in a template. `more`: texts and flags for ticketdb's own queries. Raises E_TEMPLATE."""
    extra = {
        key: value if isinstance(value, bool) else Quoted(value, is_identifier=False)
        for key, value in more.items()
    }
    try:
        return _ENVIRONMENT.from_string(template).render(context_of(variables), **extra)
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        where = f"{name}:{error.lineno}" if isinstance(error, TemplateSyntaxError) else name
        raise TicketdbError("E_TEMPLATE", ExitStatus.USAGE, f"{where}: {error}") from None
