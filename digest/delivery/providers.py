"""The servers for outgoing mail of well-known providers, and what these need besides a password. Pure: no I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider's server for outgoing mail. `note` says what it needs instead of or besides the password, or ""."""

    host: str
    port: int = 587
    note: str = ""


_APP = "{} needs an app password, not your normal one: {}"
_OAUTH = "Outlook usually needs an access token instead of a password: see token_command in config.toml"
_IMAP = "{} only accepts mail after you turn on POP3 and IMAP in its settings"
_CODE = "{} needs an authorization code instead of your password"

# From the providers' own help pages. Port 465 uses TLS from the first byte, port 587 after STARTTLS (RFC 8314).
_GMAIL = Provider("smtp.gmail.com", 587, _APP.format("Gmail", "myaccount.google.com/apppasswords"))
_OUTLOOK = Provider("smtp-mail.outlook.com", 587, _OAUTH)
_FASTMAIL = Provider("smtp.fastmail.com", 465, _APP.format("Fastmail", "Settings > Privacy & Security"))
_ICLOUD = Provider("smtp.mail.me.com", 587, _APP.format("iCloud", "account.apple.com > Sign-In and Security"))
_YAHOO = Provider("smtp.mail.yahoo.com", 465, _APP.format("Yahoo", "Account security"))
_GMX = _IMAP.format("GMX")
_PROTON = "Proton needs an SMTP token, and only sends from addresses of your own domain"

_DOMAINS = {
    "gmail.com googlemail.com": _GMAIL,
    "outlook.com hotmail.com live.com msn.com": _OUTLOOK,
    "onmicrosoft.com": Provider("smtp.office365.com", 587, _OAUTH),
    "fastmail.com fastmail.fm": _FASTMAIL,
    "icloud.com me.com mac.com": _ICLOUD,
    "yahoo.com yahoo.de yahoo.fr yahoo.co.uk yahoo.es yahoo.it ymail.com": _YAHOO,
    "aol.com": Provider("smtp.aol.com", 465, _APP.format("AOL", "Account security")),
    "gmx.de gmx.net gmx.at gmx.ch": Provider("mail.gmx.net", 587, _GMX),
    "gmx.com": Provider("mail.gmx.com", 587, _GMX),
    "web.de": Provider("smtp.web.de", 587, _IMAP.format("WEB.DE")),
    "posteo.de posteo.net posteo.org posteo.eu": Provider("posteo.de", 465),
    "mailbox.org": Provider("smtp.mailbox.org", 465),
    "proton.me protonmail.com pm.me": Provider("smtp.protonmail.ch", 587, _PROTON),
    "qq.com": Provider("smtp.qq.com", 465, _CODE.format("QQ Mail")),
    "163.com": Provider("smtp.163.com", 465, _CODE.format("163.com")),
    "runbox.com": Provider("smtp.runbox.com", 465),
    "disroot.org": Provider("disroot.org", 587),
}
_BY_DOMAIN = {domain: provider for domains, provider in _DOMAINS.items() for domain in domains.split()}


def find_provider(address: str) -> Provider | None:
    """The provider of an address; None for one that is not in the table."""
    domain = address.rpartition("@")[2].rstrip("> ").lower()
    parent = domain.partition(".")[2]
    return _BY_DOMAIN.get(domain) or (_BY_DOMAIN.get(parent) if parent == "onmicrosoft.com" else None)


def provider_of_server(host: str) -> Provider | None:
    """The provider with this mail server; None for one that is not in the table."""
    return next((provider for provider in _BY_DOMAIN.values() if provider.host == host.lower()), None)
