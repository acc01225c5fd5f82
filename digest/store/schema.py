"""The tables, as the migrations that create them, oldest first. A migration that was released is never changed."""

import json
import sqlite3
from collections.abc import Callable

Step = str | Callable[[sqlite3.Connection], None]  # a statement, or what no statement can do

_FIRST = """
CREATE TABLE papers (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    abstract TEXT NOT NULL,
    facts TEXT NOT NULL,           -- JSON: authors, categories, identifiers, links
    first_seen TEXT NOT NULL       -- the day of the run that first recorded it
);
CREATE INDEX papers_first_seen ON papers (first_seen);
CREATE TABLE names (
    name TEXT PRIMARY KEY,         -- see digest.papers
    paper INTEGER NOT NULL REFERENCES papers (id)
) WITHOUT ROWID;
CREATE INDEX names_paper ON names (paper);
CREATE TABLE sightings (
    paper INTEGER NOT NULL REFERENCES papers (id),
    source TEXT NOT NULL,
    day TEXT NOT NULL,             -- the source's list day
    seen TEXT NOT NULL,            -- the day of the run that read it
    votes INTEGER,
    PRIMARY KEY (paper, source, day, seen)
) WITHOUT ROWID;
CREATE TABLE vectors (
    paper INTEGER NOT NULL REFERENCES papers (id) ON DELETE CASCADE,
    method TEXT NOT NULL,          -- the model and its version
    vector BLOB NOT NULL,
    PRIMARY KEY (paper, method)
);
CREATE TABLE subscribers (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,      -- the address without case
    address TEXT NOT NULL,
    token TEXT NOT NULL UNIQUE,    -- opaque, in the unsubscribe link
    configured INTEGER NOT NULL,   -- named by digest.to
    refusals INTEGER NOT NULL DEFAULT 0,  -- days in a row that refused a message, three suspend
    refused TEXT                   -- the day of the last refusal
);
CREATE TABLE editions (
    id INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    sender TEXT NOT NULL,          -- envelope address
    bytes BLOB NOT NULL,           -- the message, with gaps for what differs between subscribers
    gaps TEXT NOT NULL,            -- JSON: [offset, name of the part]
    created TEXT NOT NULL
);
CREATE INDEX editions_day ON editions (day);
CREATE TABLE shown (
    paper INTEGER NOT NULL REFERENCES papers (id),
    edition INTEGER NOT NULL REFERENCES editions (id),
    place INTEGER NOT NULL,
    PRIMARY KEY (paper, edition)
) WITHOUT ROWID;
CREATE INDEX shown_edition ON shown (edition);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    subscriber INTEGER NOT NULL REFERENCES subscribers (id),
    day TEXT NOT NULL,
    edition INTEGER NOT NULL REFERENCES editions (id),
    message_id TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    run INTEGER REFERENCES runs (id),
    attempts INTEGER NOT NULL DEFAULT 0,
    doubt INTEGER NOT NULL DEFAULT 0,  -- may have been delivered, but no reply confirmed it
    reply TEXT NOT NULL DEFAULT '',
    changed TEXT NOT NULL,
    UNIQUE (subscriber, day)       -- one message a day
);
CREATE INDEX deliveries_queue ON deliveries (id) WHERE state IN ('pending', 'sending', 'in doubt');
CREATE VIEW queue AS SELECT * FROM deliveries WHERE state IN ('pending', 'sending', 'in doubt');
CREATE INDEX deliveries_edition ON deliveries (edition, subscriber);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    command TEXT NOT NULL,
    day TEXT NOT NULL,
    started TEXT NOT NULL,
    finished TEXT,
    exit INTEGER,
    summary TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE fetches (
    run INTEGER NOT NULL REFERENCES runs (id),
    source TEXT NOT NULL,
    state TEXT NOT NULL,           -- read, partial, stale, empty, failed
    papers INTEGER NOT NULL,
    new INTEGER NOT NULL,
    skipped TEXT NOT NULL,         -- JSON: messages
    errors TEXT NOT NULL,          -- JSON: messages
    late TEXT NOT NULL,            -- JSON: messages about batches that were due and missing
    PRIMARY KEY (run, source)
) WITHOUT ROWID;
CREATE INDEX fetches_source ON fetches (source, run);
CREATE TABLE answers (
    url TEXT PRIMARY KEY,
    etag TEXT NOT NULL,
    modified TEXT NOT NULL,        -- the service's Last-Modified, as it wrote it
    packed BLOB NOT NULL,          -- the body, compressed
    asked TEXT NOT NULL            -- the day of the run that last used it
)
"""

# The status of each subscriber, and how far the mailbox of replies has been read.
_STANDING = """
ALTER TABLE subscribers ADD COLUMN subscribed INTEGER NOT NULL DEFAULT 0;  -- by hand or import, not by digest.to
ALTER TABLE subscribers ADD COLUMN topics TEXT;            -- JSON: names of topics, NULL for all
ALTER TABLE subscribers ADD COLUMN max_papers INTEGER;     -- NULL for digest.max_papers
ALTER TABLE subscribers ADD COLUMN gone TEXT;              -- the day they unsubscribed, until added by hand again
ALTER TABLE subscribers ADD COLUMN paused TEXT;            -- no mail before this day
ALTER TABLE subscribers ADD COLUMN suspended TEXT NOT NULL DEFAULT '';  -- why mail to it is suspended
ALTER TABLE subscribers ADD COLUMN bounces INTEGER NOT NULL DEFAULT 0;  -- days in a row on which mail bounced
ALTER TABLE subscribers ADD COLUMN bounced TEXT;           -- the last such day
UPDATE subscribers SET suspended = 'refused on three days, last on ' || refused WHERE refusals >= 3;
CREATE VIEW receivers AS  -- subscribers who get mail, from the day `since` on
    SELECT *, coalesce(paused, '') AS since FROM subscribers
    WHERE (configured OR subscribed) AND gone IS NULL AND suspended = '';
CREATE INDEX deliveries_trouble ON deliveries (id) WHERE state IN ('refused', 'expired');
CREATE TABLE mailboxes (
    name TEXT PRIMARY KEY,         -- which mailbox, without secrets
    cursor TEXT NOT NULL,          -- the position up to which it was read
    read TEXT,                     -- when it was last read to its end
    failing TEXT,                  -- since when it cannot be read
    problem TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE letters (
    id TEXT PRIMARY KEY,           -- the SHA-256 of a message that was processed
    read TEXT NOT NULL             -- the day on which it was processed
) WITHOUT ROWID
"""

# The search index has no text of its own; only these triggers keep it up to date with `papers`. One string per
# statement, since triggers contain semicolons.
_WORDS = (
    # json_extract, since FTS5 may not read a view with json_each in it (SQLITE_PREPARE_NO_VTAB). Brackets are no words.
    "CREATE VIEW texts AS SELECT id, title, abstract, json_extract(facts, '$.authors') AS authors FROM papers",
    "CREATE VIRTUAL TABLE words USING fts5 (title, abstract, authors, content = 'texts', content_rowid = 'id',"
    " tokenize = 'porter unicode61 remove_diacritics 2')",
    "CREATE TRIGGER papers_enter AFTER INSERT ON papers BEGIN"
    " INSERT INTO words (rowid, title, abstract, authors) SELECT * FROM texts WHERE id = new.id; END",
    "CREATE TRIGGER papers_leave BEFORE DELETE ON papers BEGIN"
    " INSERT INTO words (words, rowid, title, abstract, authors) SELECT 'delete', * FROM texts WHERE id = old.id; END",
    "CREATE TRIGGER papers_change_from BEFORE UPDATE OF title, abstract, facts ON papers BEGIN"
    " INSERT INTO words (words, rowid, title, abstract, authors) SELECT 'delete', * FROM texts WHERE id = old.id;"
    " DELETE FROM vectors WHERE paper = old.id; END",
    "CREATE TRIGGER papers_change_to AFTER UPDATE OF title, abstract, facts ON papers BEGIN"
    " INSERT INTO words (rowid, title, abstract, authors) SELECT * FROM texts WHERE id = new.id; END",
)

# The votes when the mail of the day `seen` was made, where a later reading of that day changed them; -1 for a list that
# the paper joined later. `explain` and `backtest` look back at the mail with them.
_MAILED = "ALTER TABLE sightings ADD COLUMN mailed INTEGER"

# The keywords become searchable. An update that changes no word, as that of the number of stars does every day, leaves
# the index alone, and one that changes neither title nor abstract the vectors.
_KEYWORDS = (
    "DROP TRIGGER papers_enter",
    "DROP TRIGGER papers_leave",
    "DROP TRIGGER papers_change_from",
    "DROP TRIGGER papers_change_to",
    "DROP TABLE words",
    "DROP VIEW texts",
    "CREATE VIEW texts AS SELECT id, title, abstract, json_extract(facts, '$.authors') AS authors,"
    " json_extract(facts, '$.keywords') AS keywords FROM papers",
    "CREATE VIRTUAL TABLE words USING fts5 (title, abstract, authors, keywords, content = 'texts',"
    " content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2')",
    "INSERT INTO words (words) VALUES ('rebuild')",
    "CREATE TRIGGER papers_enter AFTER INSERT ON papers BEGIN"
    " INSERT INTO words (rowid, title, abstract, authors, keywords) SELECT * FROM texts WHERE id = new.id; END",
    "CREATE TRIGGER papers_leave BEFORE DELETE ON papers BEGIN"
    " INSERT INTO words (words, rowid, title, abstract, authors, keywords)"
    " SELECT 'delete', * FROM texts WHERE id = old.id; END",
    "CREATE TRIGGER papers_change_from BEFORE UPDATE OF title, abstract, facts ON papers"
    " WHEN old.title <> new.title OR old.abstract <> new.abstract OR json_extract(old.facts, '$.authors', '$.keywords')"
    " <> json_extract(new.facts, '$.authors', '$.keywords') BEGIN"
    " INSERT INTO words (words, rowid, title, abstract, authors, keywords)"
    " SELECT 'delete', * FROM texts WHERE id = old.id; END",
    "CREATE TRIGGER papers_change_to AFTER UPDATE OF title, abstract, facts ON papers"
    " WHEN old.title <> new.title OR old.abstract <> new.abstract OR json_extract(old.facts, '$.authors', '$.keywords')"
    " <> json_extract(new.facts, '$.authors', '$.keywords') BEGIN"
    " INSERT INTO words (rowid, title, abstract, authors, keywords)"
    " SELECT * FROM texts WHERE id = new.id; END",
    "CREATE TRIGGER papers_new_text AFTER UPDATE OF title, abstract ON papers"
    " WHEN old.title <> new.title OR old.abstract <> new.abstract BEGIN"
    " DELETE FROM vectors WHERE paper = new.id; END",
)

# A paper has one vector, which depends on the basis it was made with.
_BASES = """
DROP TABLE vectors;
CREATE TABLE bases (
    id INTEGER PRIMARY KEY,
    papers INTEGER NOT NULL,       -- how many the history had
    words TEXT NOT NULL,           -- separated by spaces
    axes BLOB NOT NULL             -- see digest.ranking.embeddings
);
CREATE TABLE vectors (
    paper INTEGER PRIMARY KEY REFERENCES papers (id) ON DELETE CASCADE,
    basis INTEGER NOT NULL,
    vector BLOB NOT NULL
)
"""

# The public editions, of which the archive consists.
_ARCHIVE = """
CREATE TABLE public_editions (
    id INTEGER PRIMARY KEY,
    day TEXT NOT NULL UNIQUE,
    created TEXT NOT NULL,         -- when it was frozen
    tag TEXT NOT NULL,             -- its identifier in the feeds
    written TEXT NOT NULL DEFAULT '',  -- the folder and address for which its files were last written
    content TEXT NOT NULL          -- JSON: title, papers with all that the pages say about them
);
CREATE INDEX public_editions_days ON public_editions (day, created, written);
CREATE TABLE public_papers (
    paper INTEGER NOT NULL REFERENCES papers (id),
    edition INTEGER NOT NULL REFERENCES public_editions (id),
    place INTEGER NOT NULL,
    PRIMARY KEY (paper, edition)
) WITHOUT ROWID;
CREATE INDEX public_papers_edition ON public_papers (edition)
"""

# What readers ask for by mail, and the mail that answers them. Moments are in UTC, to the second.
_CORRESPONDENCE = """
ALTER TABLE subscribers ADD COLUMN confirmed TEXT;  -- the day they subscribed by mail, NULL if they were added
CREATE TABLE requests (            -- to subscribe, from addresses of strangers, deleted after three days
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,             -- the address without case
    address TEXT NOT NULL,
    letter TEXT NOT NULL,          -- the Message-ID of the letter, to answer it
    asked TEXT NOT NULL,           -- when the letter was read
    answered TEXT,                 -- when the confirmation mail was queued, NULL while it waits
    used TEXT                      -- when it was confirmed: its token confirms nothing more
);
CREATE INDEX requests_key ON requests (key);
CREATE TABLE answer_mails (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,             -- the address of the recipient without case
    address TEXT NOT NULL,
    kind TEXT NOT NULL,            -- confirmation, welcome, choices or help
    message_id TEXT NOT NULL,
    bytes BLOB NOT NULL,           -- the message, empty when it is no longer in the queue
    created TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    attempts INTEGER NOT NULL DEFAULT 0,
    doubt INTEGER NOT NULL DEFAULT 0,  -- may have been delivered, but no reply confirmed it
    reply TEXT NOT NULL DEFAULT ''
);
CREATE INDEX answer_mails_key ON answer_mails (key);
CREATE INDEX answer_mails_queue ON answer_mails (id) WHERE state IN ('pending', 'sending', 'in doubt');
CREATE VIEW answer_queue AS SELECT * FROM answer_mails WHERE state IN ('pending', 'sending', 'in doubt');
CREATE TABLE labels (              -- "more like this" and "not for me"
    subscriber INTEGER NOT NULL REFERENCES subscribers (id),
    paper INTEGER NOT NULL REFERENCES papers (id),
    liked INTEGER NOT NULL,
    day TEXT NOT NULL,
    PRIMARY KEY (subscriber, paper)
) WITHOUT ROWID;
CREATE INDEX labels_paper ON labels (paper)
"""

# A mail is a list of fragments, which the mails of a day share. An edition lists the papers that it shows, so that a
# personal mail is one row, and not one more for each of its papers.
_FRAGMENTS = """
CREATE TABLE fragments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given again: a fragment that was deleted is missing, not another one
    day TEXT NOT NULL,
    checksum BLOB NOT NULL,        -- see digest.mail.message
    begins_paper INTEGER NOT NULL,
    head BLOB NOT NULL,
    text BLOB NOT NULL,
    html BLOB NOT NULL,
    UNIQUE (day, checksum)
);
ALTER TABLE editions ADD COLUMN papers TEXT NOT NULL DEFAULT '[]';  -- JSON: the papers in their order, 0 for a lost one
ALTER TABLE editions ADD COLUMN fragments TEXT NOT NULL DEFAULT '[]';  -- JSON: their ids, none if its text was deleted
ALTER TABLE papers ADD COLUMN recorded TEXT;  -- the day that `first_seen` was, if it is a later one now
UPDATE papers SET recorded = (SELECT min(e.day) FROM shown s JOIN editions e ON e.id = s.edition
    WHERE s.paper = papers.id AND e.sender <> '')
WHERE id IN (SELECT s.paper FROM shown s JOIN editions e ON e.id = s.edition JOIN papers p ON p.id = s.paper
    WHERE e.sender <> '' AND (e.day < p.first_seen OR p.first_seen = ''))
"""
_FRAGMENTS_END = """
DROP TABLE shown;
ALTER TABLE editions DROP COLUMN bytes;
ALTER TABLE editions DROP COLUMN gaps;
CREATE INDEX editions_imported ON editions (sender) WHERE sender = '';
CREATE INDEX deliveries_imported ON deliveries (subscriber) WHERE message_id = ''
"""


def _make_fragments(connection: sqlite3.Connection) -> None:
    """Make each message one fragment that gives the same bytes, and list its papers; one message in memory at a time.

    A gap was an offset and a name. The value of one that ends with -qp began with a soft line break, which is in the
    text now. A place whose paper was found to be another one's double had no row.
    """
    from digest.mail.message import Fragment

    last = 0
    while row := connection.execute(
        "SELECT id, day, bytes, gaps, (SELECT json_group_object(place, paper) FROM shown WHERE edition = editions.id)"
        " FROM editions WHERE id > ? ORDER BY id LIMIT 1",
        [last],
    ).fetchone():
        last, day, content, gaps, places = row
        papers = {int(place): paper for place, paper in json.loads(places).items()}
        listed = [papers.get(place, 0) for place in range(1, max(papers, default=0) + 1)]
        head, start, fragments = b"", 0, []
        for offset, part in json.loads(gaps):
            soft_break = b"=\r\n" if part.endswith("-qp") else b""
            head += content[start:offset] + soft_break + b"\0" + part.encode() + b"\0"
            start = offset
        if content:
            fragment = Fragment(head=head + content[start:])
            fragments = connection.execute(
                "INSERT INTO fragments (day, checksum, begins_paper, head, text, html) VALUES (?, ?, 0, ?, x'', x'')"
                " ON CONFLICT DO UPDATE SET day = day RETURNING id",
                [day, fragment.checksum, fragment.head],
            ).fetchone()
        connection.execute(
            "UPDATE editions SET papers = ?, fragments = ?, bytes = x'' WHERE id = ?",
            [json.dumps(listed, separators=(",", ":")), json.dumps(list(fragments)), last],
        )


# A sentence model can have a part in the vectors. Bases from before have another form; a new one is made when needed.
_MODELS = """
DELETE FROM vectors;
DROP TABLE bases;
CREATE TABLE bases (
    id INTEGER PRIMARY KEY,
    papers INTEGER NOT NULL,       -- how many the history had
    words TEXT NOT NULL,           -- separated by spaces
    axes BLOB NOT NULL,            -- see digest.ranking.embeddings
    model TEXT NOT NULL,           -- the name of the sentence model, '' for none
    centre BLOB NOT NULL           -- the mean of its vectors
)
"""

MIGRATIONS: dict[str, tuple[Step, ...]] = {
    "first": (*_FIRST.split(";"), *_WORDS),
    "standing": tuple(_STANDING.split(";")),
    # Papers that a topic likes and that arXiv was asked for, whether it has them or not: it is asked once.
    "lookups": ("CREATE TABLE lookups (name TEXT PRIMARY KEY, asked TEXT NOT NULL) WITHOUT ROWID",),
    # Such as 'mon,thu': a subscriber gets mail only on these days; NULL means every day.
    "days": ("ALTER TABLE subscribers ADD COLUMN days TEXT",),
    # The sources of another history that this digest reads, and the name of the source that reads it.
    "origins": ("CREATE TABLE origins (source TEXT PRIMARY KEY, history TEXT NOT NULL) WITHOUT ROWID",),
    "mailed": (_MAILED,),
    "keywords": _KEYWORDS,
    "bases": tuple(_BASES.split(";")),
    "archive": tuple(_ARCHIVE.split(";")),
    "correspondence": tuple(_CORRESPONDENCE.split(";")),
    "fragments": (*_FRAGMENTS.split(";"), _make_fragments, *_FRAGMENTS_END.split(";")),
    "models": tuple(_MODELS.split(";")),
}


def migrate(connection: sqlite3.Connection, steps: tuple[Step, ...]) -> None:
    """Apply a migration, in the transaction of the caller."""
    for step in steps:
        if isinstance(step, str):
            connection.execute(step)
        else:
            step(connection)
