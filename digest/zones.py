"""Time zones by their names in the IANA database, and what was probably meant by a name that is not in it."""

import difflib
import zoneinfo

from digest.settings import shown


def zone(name: str) -> zoneinfo.ZoneInfo:
    """The zone called `name`. Raises ValueError with the one that was probably meant."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        near = _near(name)
        hint = f'did you mean "{near}"?' if near else 'write one like "Europe/Berlin" or "UTC"'
        raise ValueError(f"{shown(name)} is not a time zone; {hint}") from None


def _near(name: str) -> str:
    """The zone of that name in another case, of that city, or spelt much like it; '' for none."""
    wanted = name.strip().lower().replace(" ", "_")
    known = {zone.lower(): zone for zone in sorted(zoneinfo.available_timezones())}
    city = next((zone for low, zone in known.items() if low.rpartition("/")[2] == wanted.rpartition("/")[2]), "")
    alike = difflib.get_close_matches(wanted, known, n=1, cutoff=0.8)
    return known.get(wanted) or city or (known[alike[0]] if alike else "")
