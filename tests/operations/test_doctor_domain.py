"""The sender's domain, looked up from a name server of our own."""

import socket

import pytest

from digest.operations import doctor_domain
from digest.operations.checks import Check, Mark
from digest.operations.doctor_domain import check_domain, reserved

pytest.importorskip("dns", reason="dnspython is not installed (pip install 'paper-digest[dns]')")

from tests.nameserver import Zone, serving

DOMAIN = "papers.lab.edu"
SOUND: Zone = {
    (DOMAIN, "TXT"): ['"some-site-verification=1"', '"v=spf1 include:_spf.lab.edu " "-all"'],
    (f"s2026._domainkey.{DOMAIN}", "TXT"): ['"v=DKIM1; k=rsa; p=MIGf"'],
    (f"_dmarc.{DOMAIN}", "TXT"): ['"v=DMARC1; p=reject"'],
    (DOMAIN, "MX"): ["20 second.lab.edu.", "10 first.lab.edu."],
}


def looked_up(zone: Zone) -> dict[str, Check]:
    with serving(zone) as nameserver:
        return {check.name: check for check in check_domain(DOMAIN, nameserver)}


def test_a_sound_domain_is_told_record_by_record() -> None:
    found = looked_up(SOUND)
    assert {name: (check.mark, check.said) for name, check in found.items()} == {
        "SPF": (Mark.OK, f"{DOMAIN}: v=spf1 include:_spf.lab.edu -all"),
        "DKIM": (Mark.OK, f"{DOMAIN} publishes keys"),
        "DMARC": (Mark.OK, f"{DOMAIN}: v=DMARC1; p=reject"),
        "replies": (Mark.OK, "go to first.lab.edu"),
    }


Change = dict[tuple[str, str], list[str] | None]  # None takes a name away

AILMENTS: list[tuple[str, Change, str, str]] = [
    ("SPF", {(DOMAIN, "TXT"): []}, "does not say which servers", "v=spf1"),
    ("SPF", {(DOMAIN, "TXT"): ['"v=spf10 -all"']}, "does not say which servers", "v=spf1"),
    ("SPF", {(DOMAIN, "TXT"): ['"v=spf1 -all"', '"v=spf1 ~all"']}, "has 2 SPF records", "one record"),
    ("SPF", {(DOMAIN, "TXT"): ['"v=spf1 a +all"']}, "lets every server in the world", "-all"),
    ("SPF", {(DOMAIN, "TXT"): ['"V=SPF1 ALL"']}, "lets every server in the world", "-all"),
    ("DKIM", {(f"s2026._domainkey.{DOMAIN}", "TXT"): None}, "publishes no key", "ask your mail provider"),
    ("DMARC", {(f"_dmarc.{DOMAIN}", "TXT"): None}, "only pretends to be from it", f"_dmarc.{DOMAIN}: v=DMARC1; p=none"),
    ("DMARC", {(f"_dmarc.{DOMAIN}", "TXT"): ['"hello"']}, "only pretends to be from it", "v=DMARC1"),
    ("replies", {(DOMAIN, "MX"): []}, "takes no mail", "digest.from"),
    ("replies", {(DOMAIN, "MX"): ["0 ."]}, "takes no mail", "digest.from"),
]


@pytest.mark.parametrize(("name", "change", "said", "mend"), AILMENTS, ids=[f"{a[0]} {a[2]}" for a in AILMENTS])
def test_what_is_amiss_is_a_warning_with_what_to_publish(name: str, change: Change, said: str, mend: str) -> None:
    zone = {key: records for key, records in {**SOUND, **change}.items() if records is not None}
    found = looked_up(zone)
    assert (found[name].mark, said in found[name].said, mend in found[name].mend) == (Mark.WARN, True, True)
    assert {check.mark for check in found.values() if check.name != name} == {Mark.OK}


def test_a_policy_and_keys_of_the_domain_above_count() -> None:
    zone = {key: records for key, records in SOUND.items() if not key[0].startswith(("_dmarc", "s2026"))}
    found = looked_up(
        {**zone, ("_dmarc.lab.edu", "TXT"): ['"v=DMARC1; p=none"'], ("a._domainkey.lab.edu", "TXT"): ["x"]}
    )
    assert {check.mark for check in found.values()} == {Mark.OK}
    assert found["DMARC"].said == "lab.edu: v=DMARC1; p=none"


@pytest.mark.parametrize("kind", ["A", "AAAA"])
def test_an_address_takes_the_place_of_a_missing_mx(kind: str) -> None:
    zone = {key: records for key, records in SOUND.items() if key[1] != "MX"}
    found = looked_up({**zone, (DOMAIN, kind): ["192.0.2.1" if kind == "A" else "2001:db8::1"]})
    assert (found["replies"].mark, found["replies"].said) == (Mark.OK, f"go to {DOMAIN}")


def test_a_name_server_that_says_nothing_is_waited_for_a_few_seconds_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("digest.operations.doctor_domain._PATIENCE", 0.2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        (check,) = check_domain(DOMAIN, silent.getsockname())
    assert (check.mark, check.said) == (Mark.WARN, f"skipped: no name server gave an answer about {DOMAIN}")


def test_without_dnspython_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_domain, "find_spec", lambda _: None)
    (check,) = check_domain(DOMAIN)
    assert (check.mark, check.mend) == (Mark.WARN, "pip install 'paper-digest[dns]'")
    assert check.said.startswith("skipped: ")


@pytest.mark.parametrize("domain", ["example.org", "mail.example.com", "localhost", "x.invalid", "host.test"])
def test_names_for_examples_are_not_looked_up(domain: str) -> None:
    (check,) = check_domain(domain)
    assert (check.mark, check.mend) == (Mark.WARN, "put your own address into digest.from")


def test_names_that_only_look_like_examples_are_looked_up() -> None:
    assert not any(map(reserved, ("myexample.org", "example.edu", "test.org", "localhost.de")))
