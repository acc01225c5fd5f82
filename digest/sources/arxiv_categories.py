"""arXiv's categories, and what was probably meant by other names.

From its taxonomy: https://arxiv.org/category_taxonomy. Pure: no I/O.
"""

import difflib
from collections.abc import Iterable, Sequence

from digest.settings import invalid_choices

_TAXONOMY = {
    "astro-ph": "CO EP GA HE IM SR",
    "cond-mat": "dis-nn mes-hall mtrl-sci other quant-gas soft stat-mech str-el supr-con",
    "cs": "AI AR CC CE CG CL CR CV CY DB DC DL DM DS ET FL GL GR GT HC IR IT LG LO MA MM MS NA NE NI OH OS PF PL RO"
    " SC SD SE SI SY",
    "econ": "EM GN TH",
    "eess": "AS IV SP SY",
    "math": "AC AG AP AT CA CO CT CV DG DS FA GM GN GR GT HO IT KT LO MG MP NA NT OA OC PR QA RA RT SG SP ST",
    "nlin": "AO CD CG PS SI",
    "physics": "acc-ph ao-ph app-ph atm-clus atom-ph bio-ph chem-ph class-ph comp-ph data-an ed-ph flu-dyn gen-ph"
    " geo-ph hist-ph ins-det med-ph optics plasm-ph pop-ph soc-ph space-ph",
    "q-bio": "BM CB GN MN NC OT PE QM SC TO",
    "q-fin": "CP EC GN MF PM PR RM ST TR",
    "stat": "AP CO ME ML OT TH",
}
_UNDIVIDED = "gr-qc hep-ex hep-lat hep-ph hep-th math-ph nucl-ex nucl-th quant-ph"  # archives that are one category
# A feed can also be of a whole archive, like "cs".
_KNOWN = frozenset(
    [
        *_TAXONOMY,
        *_UNDIVIDED.split(),
        *(f"{archive}.{name}" for archive, names in _TAXONOMY.items() for name in names.split()),
    ]
)
# What people mean by some names that are no category's, or an older one's.
_MEANT = {
    "cs.ml": ("cs.LG", "stat.ML"),
    "cs.nlp": ("cs.CL",),
    "cs.rl": ("cs.LG",),
    "cs.nn": ("cs.NE", "cs.LG"),
    "stat.lg": ("stat.ML", "cs.LG"),
    "ml": ("cs.LG", "stat.ML"),
    "nlp": ("cs.CL",),
    "ai": ("cs.AI",),
    "cmp-lg": ("cs.CL",),
    "alg-geom": ("math.AG",),
    "q-alg": ("math.QA",),
    "chao-dyn": ("nlin.CD",),
}


def check_categories(names: Iterable[str]) -> None:
    """Raise ValueError with every name that is neither a category nor an archive, and what to write instead."""
    if wrong := {name: _meant(name) for name in names if name not in _KNOWN}:
        raise invalid_choices("arXiv categories", wrong, 'write them like "cs.LG" or "math"')


def is_category(name: str) -> bool:
    """Whether a name is that of a category or archive, or looks like one."""
    return name in _KNOWN or is_like_category(name)


def is_like_category(name: str) -> bool:
    """Whether a name begins like a category of arXiv: with an archive and a dot, in upper or lower case."""
    archive, dot, _ = name.partition(".")
    return bool(dot) and archive.lower() in _TAXONOMY


def _meant(name: str) -> Sequence[str]:
    """The categories that a wrong name may stand for: its own in another case, or similar ones of the same archive."""
    wanted = name.strip().lower().rpartition(":")[2]
    by_lower_case = {known.lower(): known for known in sorted(_KNOWN)}
    if wanted in by_lower_case:
        return (by_lower_case[wanted],)
    archive, dot, _ = wanted.partition(".")
    near = difflib.get_close_matches(wanted, by_lower_case, n=1, cutoff=0.8)
    same = [one for one in near if not dot or one.startswith(f"{archive}.") or archive not in _TAXONOMY]
    return _MEANT.get(wanted) or [by_lower_case[one] for one in same]
