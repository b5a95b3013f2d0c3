"""The part that changes a production database: it applies and reverts the chain of revisions.

`chain` reads the revisions, `history` decides whether they may be run, `statements` renders them,
`run` runs them, `commands` has the functions behind the command line; `script` and `plan` show what
would be run.
"""
