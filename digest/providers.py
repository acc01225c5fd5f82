"""Where mail is handed in at well-known providers, by the domain of an address. Touches nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider's server for outgoing mail; `note` is what its help pages ask for beside the password, or ''."""

    host: str
    port: int = 587
    note: str = ""


_APP = "it takes an app password, not your own: {}"
_OAUTH = "it mostly takes access tokens instead of passwords: see token_command in config.toml"

# By the providers' own help pages. Port 465 speaks TLS from the first byte, 587 after STARTTLS (RFC 8314).
_GMAIL = Provider("smtp.gmail.com", 587, _APP.format("myaccount.google.com/apppasswords"))
_OUTLOOK = Provider("smtp-mail.outlook.com", 587, _OAUTH)
_FASTMAIL = Provider("smtp.fastmail.com", 465, _APP.format("Settings, Privacy & Security"))
_ICLOUD = Provider("smtp.mail.me.com", 587, _APP.format("account.apple.com, Sign-In and Security"))
_YAHOO = Provider("smtp.mail.yahoo.com", 465, _APP.format("Account security"))
_GMX = Provider("mail.gmx.net", 587, "switch on POP3 and IMAP in its settings first")
_PROTON = Provider("smtp.protonmail.ch", 587, "it takes an SMTP token, for addresses of your own domain")

_DOMAINS = {
    "gmail.com googlemail.com": _GMAIL,
    "outlook.com hotmail.com live.com msn.com": _OUTLOOK,
    "onmicrosoft.com": Provider("smtp.office365.com", 587, _OAUTH),
    "fastmail.com fastmail.fm": _FASTMAIL,
    "icloud.com me.com mac.com": _ICLOUD,
    "yahoo.com yahoo.de yahoo.fr yahoo.co.uk yahoo.es yahoo.it ymail.com": _YAHOO,
    "aol.com": Provider("smtp.aol.com", 465, _APP.format("Account security")),
    "gmx.de gmx.net gmx.at gmx.ch": _GMX,
    "gmx.com": Provider("mail.gmx.com", 587, _GMX.note),
    "web.de": Provider("smtp.web.de", 587, _GMX.note),
    "posteo.de posteo.net posteo.org posteo.eu": Provider("posteo.de", 465),
    "mailbox.org": Provider("smtp.mailbox.org", 465),
    "proton.me protonmail.com pm.me": _PROTON,
    "qq.com": Provider("smtp.qq.com", 465, "it takes an authorization code instead of your password"),
    "163.com": Provider("smtp.163.com", 465, "it takes an authorization code instead of your password"),
    "runbox.com": Provider("smtp.runbox.com", 465),
    "disroot.org": Provider("disroot.org", 587),
}
_BY_DOMAIN = {domain: provider for domains, provider in _DOMAINS.items() for domain in domains.split()}


def of(address: str) -> Provider | None:
    """The provider of a mail address; None for one that is not in the table, as most are."""
    domain = address.rpartition("@")[2].rstrip("> ").lower()
    parent = domain.partition(".")[2]
    return _BY_DOMAIN.get(domain) or (_BY_DOMAIN.get(parent) if parent == "onmicrosoft.com" else None)
