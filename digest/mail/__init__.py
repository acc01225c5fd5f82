"""The mail: an edition, rendered by templates, as a MIME message with a subscriber's own parts."""
