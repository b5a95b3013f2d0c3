"""SQL templates with a closed list of variables, each of which is quoted as it is rendered.

``{{ schema }}`` is a quoted identifier, ``{{ cleanup_job }}`` a quoted literal, and
``{{ schema | literal }}`` the name as a literal, for catalog look-ups. Nothing else can reach the
output: a bare string, a number or an attribute is refused, so that a name full of quotes and
semicolons stays a name.
"""

from dataclasses import asdict

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, Undefined
from jinja2.sandbox import SandboxedEnvironment
from psycopg.sql import Identifier, Literal

from ticketdb.config import ROLES, SCHEMAS, Variables
from ticketdb.errors import problem


class Name(Identifier):
    """The name of a schema or a role."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _literal(value: object) -> Literal:
    if not isinstance(value, Name):
        raise TemplateError("the filter 'literal' takes the name of a schema or a role")
    return Literal(value.name)


def _finalize(value: object) -> str:
    if isinstance(value, Name | Literal):
        # A literal with a backslash becomes E'…', which means the same under any setting of
        # standard_conforming_strings when the body of a function is parsed, years later.
        return value.as_string(None)
    if isinstance(value, Undefined):
        return str(value)  # raises an error that names the missing variable
    raise TemplateError(f"{value!r} may not be written into SQL: only template variables may")


# No loader: a revision never reads another file.
_ENVIRONMENT = SandboxedEnvironment(
    undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=_finalize
)
_ENVIRONMENT.globals.clear()
_ENVIRONMENT.filters = {"literal": _literal}


def render(template: str, variables: Variables, name: str = "SQL", **more: str | bool) -> str:
    """Render a template. `more`: texts and flags for ticketdb's own queries. Raises E_TEMPLATE."""
    context: dict[str, Name | Literal | bool] = {}
    for key, value in (asdict(variables) | more).items():
        wrap = bool if isinstance(value, bool) else Name if key in SCHEMAS + ROLES else Literal
        context[key] = wrap(value)
    try:
        return _ENVIRONMENT.from_string(template).render(context)
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        where = f"{name}:{error.lineno}" if isinstance(error, TemplateSyntaxError) else name
        raise problem("E_TEMPLATE", f"{where}: {error}") from None
