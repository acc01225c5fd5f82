"""The mail: what it says, how it looks, and the message it becomes.

    papers, best first ──▶ edition ──▶ render ──▶ message
                           values      Jinja      MIME with gaps

`edition` puts papers into words, `render` makes an edition a message with the templates, `message` builds it and fills
in what differs between subscribers, `unsubscribe` makes the links, and `address` knows what a mail address is.
"""

__all__ = ["address", "edition", "message", "render", "unsubscribe"]
