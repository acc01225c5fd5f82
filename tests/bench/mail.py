"""What the mail costs: rendering, inlining and building once an edition, filling in once a subscriber."""

import statistics
import time
from collections.abc import Callable

from digest.mail import render
from digest.mail.message import build_frame, fill_frame
from tests.editions import DAY, LEAVE, NOW, PLACEHOLDERS, SENDER, TOKEN, edition, framed, plain_papers
from tests.editions import renderer as new_renderer


def timed(what: Callable[[], object], times: int) -> float:
    """The median of `times` runs, in seconds, after one that does not count."""
    what()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        what()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def measured(count: int) -> tuple[float, float, float, float, int]:
    """Milliseconds for all of rendering, for inlining alone and for building; microseconds for filling in; bytes."""
    made, renderer = edition(plain_papers(count)), new_renderer()
    rendered = renderer.render(made)
    frame = framed(made)
    return (
        timed(lambda: renderer.render(made), 7) * 1e3,
        timed(lambda: render.inline_styles(rendered.html), 7) * 1e3,
        timed(lambda: build_frame(rendered, "T", SENDER, LEAVE, PLACEHOLDERS, DAY, NOW), 15) * 1e3,
        timed(lambda: fill_frame(frame, "ann@example.org", TOKEN, DAY), 500) * 1e6,
        len(frame.content),
    )


def main() -> None:
    print("The mail, medians (ms an edition; µs a subscriber)")
    print(f"{'papers':>7}{'render':>9}{'inline anew':>14}{'build':>8}{'fill, µs':>10}{'bytes':>9}")
    for count in (20, 50, 100):
        whole, inline, build, fill, size = measured(count)
        print(f"{count:>7}{whole:>9.1f}{inline:>14.1f}{build:>8.1f}{fill:>10.1f}{size:>9,}")


if __name__ == "__main__":
    main()
