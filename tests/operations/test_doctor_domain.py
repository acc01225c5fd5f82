"""The checks of the sender's domain, against a name server of our own."""

import socket

import pytest

from digest.operations import doctor_domain
from digest.operations.checks import Check, Mark
from digest.operations.doctor_domain import check_domain, is_reserved
from digest.operations.installation import install_command

pytest.importorskip("dns", reason="dnspython is not installed (it is in the extra dns)")

from tests.nameserver import Zone, serving

DOMAIN = "papers.lab.edu"
HEALTHY: Zone = {
    (DOMAIN, "TXT"): ['"some-site-verification=1"', '"v=spf1 include:_spf.lab.edu " "-all"'],
    (f"s2026._domainkey.{DOMAIN}", "TXT"): ['"v=DKIM1; k=rsa; p=MIGf"'],
    (f"_dmarc.{DOMAIN}", "TXT"): ['"v=DMARC1; p=reject"'],
    (DOMAIN, "MX"): ["20 second.lab.edu.", "10 first.lab.edu."],
}


def look_up(zone: Zone) -> dict[str, Check]:
    with serving(zone) as nameserver:
        return {check.name: check for check in check_domain(DOMAIN, nameserver)}


def test_a_healthy_domain_passes_record_by_record() -> None:
    checks = look_up(HEALTHY)
    assert {name: (check.mark, check.message) for name, check in checks.items()} == {
        "SPF": (Mark.OK, f"{DOMAIN}: v=spf1 include:_spf.lab.edu -all"),
        "DKIM": (Mark.OK, f"{DOMAIN} publishes keys"),
        "DMARC": (Mark.OK, f"{DOMAIN}: v=DMARC1; p=reject"),
        "replies": (Mark.OK, "go to first.lab.edu"),
    }


Change = dict[tuple[str, str], list[str] | None]  # None removes a name

PROBLEMS: list[tuple[str, Change, str, str]] = [
    ("SPF", {(DOMAIN, "TXT"): []}, "(no SPF record)", "v=spf1"),
    ("SPF", {(DOMAIN, "TXT"): ['"v=spf10 -all"']}, "(no SPF record)", "v=spf1"),
    ("SPF", {(DOMAIN, "TXT"): ['"v=spf1 -all"', '"v=spf1 ~all"']}, "has 2 SPF records", "one record"),
    ("SPF", {(DOMAIN, "TXT"): ['"v=spf1 a +all"']}, "lets every server in the world", "-all"),
    ("SPF", {(DOMAIN, "TXT"): ['"V=SPF1 ALL"']}, "lets every server in the world", "-all"),
    ("DKIM", {(f"s2026._domainkey.{DOMAIN}", "TXT"): None}, "(no DKIM record)", "DKIM record that your mail provider"),
    ("DMARC", {(f"_dmarc.{DOMAIN}", "TXT"): None}, "(no DMARC record)", f"_dmarc.{DOMAIN}: v=DMARC1; p=none"),
    ("DMARC", {(f"_dmarc.{DOMAIN}", "TXT"): ['"hello"']}, "(no DMARC record)", "v=DMARC1"),
    ("replies", {(DOMAIN, "MX"): []}, "accepts no mail", "digest.from"),
    ("replies", {(DOMAIN, "MX"): ["0 ."]}, "accepts no mail", "digest.from"),
]


@pytest.mark.parametrize(("name", "change", "message", "fix"), PROBLEMS, ids=[f"{p[0]} {p[2]}" for p in PROBLEMS])
def test_a_problem_is_a_warning_with_its_fix(name: str, change: Change, message: str, fix: str) -> None:
    zone = {key: records for key, records in {**HEALTHY, **change}.items() if records is not None}
    checks = look_up(zone)
    assert (checks[name].mark, message in checks[name].message, fix in checks[name].fix) == (Mark.WARN, True, True)
    assert {check.mark for check in checks.values() if check.name != name} == {Mark.OK}


def test_a_policy_and_keys_of_the_parent_domain_count() -> None:
    zone = {key: records for key, records in HEALTHY.items() if not key[0].startswith(("_dmarc", "s2026"))}
    checks = look_up(
        {**zone, ("_dmarc.lab.edu", "TXT"): ['"v=DMARC1; p=none"'], ("a._domainkey.lab.edu", "TXT"): ["x"]}
    )
    assert {check.mark for check in checks.values()} == {Mark.OK}
    assert checks["DMARC"].message == "lab.edu: v=DMARC1; p=none"


@pytest.mark.parametrize("kind", ["A", "AAAA"])
def test_an_address_takes_the_place_of_a_missing_mx(kind: str) -> None:
    zone = {key: records for key, records in HEALTHY.items() if key[1] != "MX"}
    checks = look_up({**zone, (DOMAIN, kind): ["192.0.2.1" if kind == "A" else "2001:db8::1"]})
    assert (checks["replies"].mark, checks["replies"].message) == (Mark.OK, f"go to {DOMAIN}")


def test_a_silent_name_server_times_out_after_a_few_seconds_in_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("digest.operations.doctor_domain._TIMEOUT", 0.2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        (check,) = check_domain(DOMAIN, silent.getsockname())
    assert (check.mark, check.message) == (Mark.WARN, f"skipped: no name server answered queries about {DOMAIN}")


def test_without_dnspython_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_domain, "find_spec", lambda _: None)
    (check,) = check_domain(DOMAIN)
    assert (check.mark, check.fix) == (Mark.WARN, install_command("dns", "dnspython"))
    assert check.message.startswith("skipped: ")


@pytest.mark.parametrize("domain", ["example.org", "mail.example.com", "localhost", "x.invalid", "host.test"])
def test_reserved_domains_are_not_looked_up(domain: str) -> None:
    (check,) = check_domain(domain)
    assert (check.mark, check.fix) == (Mark.WARN, "put your own address into digest.from")


def test_domains_that_only_look_reserved_are_not() -> None:
    assert not any(map(is_reserved, ("myexample.org", "example.edu", "test.org", "localhost.de")))
