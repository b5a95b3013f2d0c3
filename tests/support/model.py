"""What ticketdb promises, once more in Python, for a hall small enough to think about.

Written from the contract and not from the SQL. It keeps as little as it can: a seat has no status
of its own, whose claim on it is live decides. Every call takes `now`, the start of the database's
transaction, and `given`, the database's answer, from which it takes what nobody else can know: new
ids and secrets, and when exactly a hold began, a little later than its transaction. Whether there
should be any, the model decides for itself.
"""

from dataclasses import dataclass

from tests.support.model_money import MoneyModel


@dataclass
class Model(MoneyModel):
    """The books, and what calls do to them."""
