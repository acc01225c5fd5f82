"""Take the README's picture: the demo's last mail in Chromium, on a desktop and on a phone (make picture)."""

import re
import sys
import tempfile
from html import escape
from pathlib import Path

from digest.demo import run_demo
from tests.system.test_browser import chromium

PICTURE = Path(__file__).resolve().parents[1] / "digest" / "demo" / "mail.png"
HEIGHT = 760
DESKTOP, PHONE = 640, 375  # CSS pixels
MAX_BYTES = 200_000
PAGE = """\
<body style="margin:0; display:flex; gap:16px; background:#d8dee4; padding:16px; width:fit-content">
<iframe srcdoc="{html}" style="border:0; width:{desktop}px; height:{height}px; border-radius:8px"></iframe>
<iframe srcdoc="{html}" style="border:0; width:{phone}px; height:{height}px; border-radius:8px"></iframe>
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        folder = Path(name) / "demo"
        list(run_demo(folder, "digest"))
        mail = max(folder.glob("*.html")).read_text(encoding="utf-8")
        mail = re.sub(r"(?i)<body", '<body style="overflow:hidden"', mail, count=1)  # no scroll bars in the frames
        page = browser.new_page(viewport={"width": DESKTOP + PHONE + 48, "height": HEIGHT + 32}, color_scheme="light")
        page.set_content(PAGE.format(html=escape(mail), desktop=DESKTOP, phone=PHONE, height=HEIGHT))
        page.wait_for_timeout(300)
        page.screenshot(path=PICTURE, full_page=True)
    size = PICTURE.stat().st_size
    print(f"Wrote {PICTURE}: {size / 1000:.0f} kB")
    if size > MAX_BYTES:
        sys.exit(f"it must have less than {MAX_BYTES / 1000:.0f} kB: make HEIGHT smaller")


if __name__ == "__main__":
    main()
