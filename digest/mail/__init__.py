"""Mail: content, appearance and MIME message.

    papers, best first ──▶ edition ──▶ render ──▶ message
                           values      Jinja      MIME with gaps

`edition` holds the content as values, `render` turns it into a message with the `templates`, `message` builds the MIME
frame and fills its gaps, `unsubscribe` makes the links, and `address` validates mail addresses.
"""

__all__ = ["address", "edition", "message", "render", "unsubscribe"]
