"""The database: every line of SQL, and the files beside it.

    schema           the tables and their migrations
    database         open and migrate the database, hold the locks
    papers           papers, their names and sightings
    origin           read the history of another digest
    search           the full-text index and the vectors
    outbox           frozen messages and the state of each delivery
    fragments        what frozen messages are assembled from
    public_editions  the frozen editions of the archive
    subscribers      addresses, profiles, status, tokens
    signups          requests to subscribe by mail
    answers          the mail that answers letters, and the state of each
    labels           what readers said about papers
    mailboxes        how far each mailbox of replies has been read
    http_cache       cached HTTP responses
    runs             record what each run and source did
    statistics       read it, for status and doctor
    secret           the key of the tokens
    mark             notice that the database was restored from a backup
    backup           copy the database and its secret
    prune            delete old data

Writes use `database.transaction`. Crash safety is documented where it matters.
"""

__all__ = [
    "answers", "backup", "database", "fragments", "http_cache", "labels", "mailboxes", "mark", "origin", "outbox",
    "papers", "prune", "public_editions", "runs", "search", "secret", "signups", "statistics", "subscribers",
]  # fmt: skip
