"""The database: every line of SQL, and the files beside it.

`schema` has the tables, `database` opens and migrates them and holds the locks. Each of the others keeps one thing:

    papers        papers, their names and sightings        outbox        frozen mail and its delivery
    search        the full-text index and vectors          subscribers   addresses, profiles, status, tokens
    http_cache    responses of services                    mailboxes     how far replies have been read
    runs          what each run and source did             statistics    the same, to read for status and doctor
    secret        what signs the tokens                    backup, prune copies, and old data deleted

Writes happen in a `transaction`; what has to be safe against crashes says so in its docstring.
"""

__all__ = [
    "backup", "database", "http_cache", "mailboxes", "outbox", "papers", "prune", "runs", "search", "secret",
    "statistics", "subscribers",
]  # fmt: skip
