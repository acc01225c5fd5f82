"""What the mail costs: rendering the fragments of a day, composing an edition of them, and assembling a message."""

import random
import time

from digest.mail.edition import Arrivals, Composer, Masthead
from digest.mail.message import build_frame, fill_frame
from tests.editions import DAY, NOW, SENDER, TOKEN, plain_papers, ranked, renderer

PAPERS, READERS = 300, 5_000


def main() -> None:
    rng, known = random.Random(1), dict(enumerate(plain_papers(PAPERS)))
    reasons = [["Otters"], ["Video"], ["World models", "Otters"], []]
    variants = {(n, k): ranked(n, 1000 - n, badges=badges) for n in known for k, badges in enumerate(reasons)}
    composer = Composer(Masthead("Papers", DAY), known, Arrivals(PAPERS, DAY))
    day = renderer().day(composer.masthead, NOW)
    chosen = [
        [variants[n, rng.randrange(len(reasons))] for n in rng.sample(range(PAPERS), rng.choice([5, 10, 15]))]
        for _ in range(READERS)
    ]
    started = time.process_time()
    day.fragments([composer.compose(ranks) for ranks in chosen])
    first = time.process_time() - started
    started = time.process_time()
    found = day.fragments([composer.compose(ranks) for ranks in chosen])
    composing = time.process_time() - started
    started = time.process_time()
    for fragments in found:
        fill_frame(build_frame(fragments, SENDER.address), "ann@example.org", TOKEN, DAY)
    assembling = time.process_time() - started
    kept = {fragment.checksum: len(fragment.head + fragment.text + fragment.html) for one in found for fragment in one}
    print(f"The mail of {READERS:,} different readers, {PAPERS} papers (CPU)")
    print(f"  {len(kept):,} fragments, {sum(kept.values()) / 1e6:.1f} MB, rendered in {first - composing:.2f} s")
    print(f"  composing {composing / READERS * 1e6:.0f} µs an edition, assembling {assembling / READERS * 1e6:.0f} µs")


if __name__ == "__main__":
    main()
