"""Addresses as people write them: which ones are read, and the messages for invalid ones."""

import pytest
from hypothesis import given, settings
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
def test_a_mailbox_is_split_into_name_and_address(text: str, name: str, address: str) -> None:
    assert parse_mailbox(text) == Mailbox(name, address)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not an email address"),
        ("nobody", "is not an email address"),
        ("Ann <ann@example.org>, <bob@example.org>", "is not an email address"),
        ('"Ann <ann@example.org>', "is not an email address"),
        ("ann@example.org, bob@example.org", "has an invalid part before the @: 'ann@example.org, bob'"),
        ("Ann ann@example.org", "has an invalid part before the @: 'Ann ann'"),
        ("ann@exa mple.org", "has an invalid domain: 'exa mple.org'"),
        ("ünn@example.org", "has non-ASCII characters before the @"),
        ("ann@example.org\nBcc: bob@example.org", "contains a line break or control character"),
        ("a" * 700 + "@example.org", "is too long for an email address"),
    ],
)
def test_an_invalid_address_is_refused_with_a_message(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match="^" + problem.replace("(", r"\(")):
        parse_mailbox(text)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=700))
def test_any_text_is_an_address_that_mail_servers_accept_or_is_refused(text: str) -> None:
    try:
        mailbox = parse_mailbox(text)
    except ValueError:
        return
    assert mailbox.address.isascii()
    assert mailbox.address.count("@") == 1
    assert not any(c.isspace() or c in "<>" for c in mailbox.address)
    assert address_key(mailbox.address.upper()) == address_key(mailbox.address)


@pytest.mark.parametrize("text", [" " * 590, "a " * 290, '"' + "\\a" * 290, "<" * 590, 'a"' * 290])
def test_texts_that_invite_backtracking_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is "):
        parse_mailbox(text)
