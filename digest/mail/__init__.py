"""Mail: content, appearance and MIME message.

    papers, best first ──▶ edition ──▶ render ──▶ message
                           values      Jinja      MIME with gaps

`edition` holds the content as values, `render` turns it into a message with the `templates`, `message` builds the MIME
frame and fills its gaps, `unsubscribe` and `requests` make the links for readers, `answers` writes the mail that
answers a letter, `address` validates mail addresses, and `shard` divides them among several digests.
"""

__all__ = [
    "address", "answers", "edition", "message", "render", "requests", "shard", "templates", "unsubscribe",
]  # fmt: skip
