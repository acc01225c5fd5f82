"""Mail: content, appearance and MIME message.

    papers, best first ──▶ edition ──▶ render ──▶ fragments ──▶ message
                           values      Jinja      of a day      MIME, for one reader

`edition` holds the content as values. `render` turns the editions of a day into lists of fragments with the
`templates`, each fragment once, and `message` assembles the message to one reader from them. `unsubscribe` and
`requests` make the links for readers, `answers` writes the mail that answers a letter, `address` validates mail
addresses, and `shard` divides them among several digests.
"""

__all__ = [
    "address", "answers", "edition", "message", "render", "requests", "shard", "templates", "unsubscribe",
]  # fmt: skip
