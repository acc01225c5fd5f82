"""Addresses as people write them: what is read, what is compared, and what is refused in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.mail.address import Mailbox, address_key, parse_mailbox


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("ann@example.org", "", "ann@example.org"),
        ("  Ann@Example.ORG ", "", "Ann@example.org"),
        ("<ann@example.org>", "", "ann@example.org"),
        ("Paper Digest <digest@example.org>", "Paper Digest", "digest@example.org"),
        ('"Digest, \\"the\\" best" <digest@example.org>', 'Digest, "the" best', "digest@example.org"),
        ("Jörg Müller <j@bücher.example>", "Jörg Müller", "j@xn--bcher-kva.example"),
        ("a@faß.de", "", "a@xn--fa-hia.de"),
    ],
)
def test_names_and_addresses_are_told_apart(text: str, name: str, address: str) -> None:
    assert parse_mailbox(text) == Mailbox(name, address)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is not a mail address"),
        ("nobody", "it is not a mail address"),
        ("Ann <ann@example.org>, <bob@example.org>", "it is not a mail address"),
        ('"Ann <ann@example.org>', "it is not a mail address"),
        ("ann@example.org, bob@example.org", "'ann@example.org, bob' cannot stand before the @"),
        ("Ann ann@example.org", "'Ann ann' cannot stand before the @"),
        ("ann@exa mple.org", "'exa mple.org' is not a domain"),
        ("ünn@example.org", "the part before the @ may hold ASCII characters only"),
        ("ann@example.org\nBcc: bob@example.org", "it holds a line break or control character"),
        ("a" * 700 + "@example.org", "it is too long to be a mail address"),
    ],
)
def test_what_is_no_address_is_refused_in_words(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match="^" + problem.replace("(", r"\(")):
        parse_mailbox(text)


@given(st.text(max_size=700))
def test_whatever_is_typed_is_an_address_for_the_wire_or_refused(text: str) -> None:
    try:
        found = parse_mailbox(text)
    except ValueError:
        return
    assert found.address.isascii()
    assert found.address.count("@") == 1
    assert not any(c.isspace() or c in "<>" for c in found.address)
    assert address_key(found.address.upper()) == address_key(found.address)


@pytest.mark.parametrize("text", [" " * 590, "a " * 290, '"' + "\\a" * 290, "<" * 590, 'a"' * 290])
def test_texts_that_could_be_taken_apart_in_very_many_ways_are_refused_all_the_same(text: str) -> None:
    with pytest.raises(ValueError, match="it is"):
        parse_mailbox(text)
