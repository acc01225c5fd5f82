"""What of a title is compared."""

import unicodedata

# Letters that Unicode does not take apart.
_UNLIGATED = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ŧ": "t", "ı": "i", "ŋ": "n"}
)


def fold(text: str) -> str:
    """What of a title is compared: the letters and digits, of any script, of the readable text.

    Compatible forms (NFKD: ², ℝ, ﬁ) are taken apart, accents dropped, case folded; ø, ł, ß, æ are o, l, ss, ae.
    """
    from digest.text.readable import readable  # with LaTeX, 15 ms to import: whoever only looks at papers does without

    folded = unicodedata.normalize("NFKD", readable(text)).casefold().translate(_UNLIGATED)
    return "".join(char for char in unicodedata.normalize("NFKD", folded).casefold() if char.isalnum())
