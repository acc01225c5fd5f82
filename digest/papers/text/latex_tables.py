r"""The LaTeX commands that `latex` knows, and their characters in Unicode.

Names and characters follow the table of the unicode-math package, so `\epsilon` is ϵ and `\varepsilon` is ε.
"""

import unicodedata
from string import ascii_letters, digits


def _pairs(listed: str) -> dict[str, str]:
    words = listed.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def _names(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Marks above and below a letter: in text, `\"o`, and in formulas, `\hat{x}`.
ACCENTS = {
    "`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", '"': "\u0308", "=": "\u0304", ".": "\u0307",
    "u": "\u0306", "v": "\u030c", "H": "\u030b", "c": "\u0327", "k": "\u0328", "d": "\u0323", "b": "\u0331",
    "r": "\u030a",
}  # fmt: skip
MATH_ACCENTS = {
    "hat": "\u0302", "widehat": "\u0302", "tilde": "\u0303", "widetilde": "\u0303", "bar": "\u0304",
    "overline": "\u0305", "vec": "\u20d7", "overrightarrow": "\u20d7", "dot": "\u0307", "ddot": "\u0308",
    "dddot": "\u20db", "check": "\u030c", "widecheck": "\u030c", "acute": "\u0301", "grave": "\u0300",
    "breve": "\u0306", "mathring": "\u030a", "not": "\u0338",
}  # fmt: skip

# Letters, in text only: in formulas authors give these names to other things.
LETTERS = _pairs(
    "aa å AA Å ae æ AE Æ oe œ OE Œ o ø O Ø l ł L Ł ss ß SS ẞ i ı j ȷ dh ð DH Ð th þ TH Þ dj đ DJ Đ ng ŋ NG Ŋ S § P ¶"
)

SYMBOLS = _pairs(
    # Greek
    "alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ varkappa ϰ "
    "lambda λ mu μ nu ν xi ξ omicron ο pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ "
    "chi χ psi ψ omega ω digamma ϝ Alpha Α Beta Β Gamma Γ Delta Δ Epsilon Ε Zeta Ζ Eta Η Theta Θ Iota Ι Kappa Κ "
    "Lambda Λ Mu Μ Nu Ν Xi Ξ Omicron Ο Pi Π Rho Ρ Sigma Σ Tau Τ Upsilon Υ Phi Φ Chi Χ Psi Ψ Omega Ω varGamma Γ "
    "varDelta Δ varTheta Θ varLambda Λ varXi Ξ varPi Π varSigma Σ varUpsilon Υ varPhi Φ varPsi Ψ varOmega Ω "
    # relations
    "leq ≤ le ≤ leqslant ≤ geq ≥ ge ≥ geqslant ≥ neq ≠ ne ≠ ll ≪ gg ≫ lll ⋘ ggg ⋙ approx ≈ approxeq ≊ sim ∼ simeq ≃ "
    "cong ≅ equiv ≡ propto ∝ varpropto ∝ asymp ≍ doteq ≐ triangleq ≜ coloneqq ≔ coloneq ≔ defeq ≝ eqdef ≝ lesssim ≲ "
    "gtrsim ≳ lessgtr ≶ lessapprox ⪅ gtrapprox ⪆ prec ≺ succ ≻ preceq ⪯ succeq ⪰ preccurlyeq ≼ succcurlyeq ≽ nleq ≰ "
    "ngeq ≱ nsim ≁ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊ supsetneq ⊋ nsubseteq ⊈ nsupseteq ⊉ sqsubset ⊏ "
    "sqsupset ⊐ sqsubseteq ⊑ sqsupseteq ⊒ in ∈ notin ∉ ni ∋ mid | nmid ∤ parallel ∥ nparallel ∦ perp ⊥ vdash ⊢ "
    "nvdash ⊬ dashv ⊣ models ⊨ vDash ⊨ nvDash ⊭ Vdash ⊩ bowtie ⋈ smile ⌣ frown ⌢ trianglelefteq ⊴ trianglerighteq ⊵ "
    # operators
    "times × div ÷ cdot · centerdot · pm ± mp ∓ ast * star ⋆ circ ∘ bullet • oplus ⊕ ominus ⊖ otimes ⊗ oslash ⊘ odot ⊙ "
    "cup ∪ cap ∩ uplus ⊎ sqcup ⊔ sqcap ⊓ setminus ∖ smallsetminus ∖ wedge ∧ land ∧ vee ∨ lor ∨ veebar ⊻ wr ≀ amalg ⨿ "
    "dagger † dag † ddagger ‡ ddag ‡ boxtimes ⊠ boxplus ⊞ boxdot ⊡ ltimes ⋉ rtimes ⋊ diamond ⋄ intercal ⊺ "
    "triangleleft ◁ triangleright ▷ bigtriangleup △ bigtriangledown ▽ triangledown ▽ bigcirc ◯ sum ∑ prod ∏ coprod ∐ "
    "int ∫ iint ∬ iiint ∭ oint ∮ bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ bigodot ⨀ bigwedge ⋀ bigvee ⋁ bigsqcup ⨆ "
    "biguplus ⨄ "
    # arrows
    "to → rightarrow → longrightarrow → leftarrow ← gets ← longleftarrow ← leftrightarrow ↔ longleftrightarrow ↔ "
    "Rightarrow ⇒ Longrightarrow ⇒ implies ⇒ Leftarrow ⇐ Longleftarrow ⇐ impliedby ⇐ Leftrightarrow ⇔ iff ⇔ "
    "Longleftrightarrow ⇔ mapsto ↦ longmapsto ↦ hookrightarrow ↪ hookleftarrow ↩ uparrow ↑ downarrow ↓ updownarrow ↕ "
    "Uparrow ⇑ Downarrow ⇓ nearrow ↗ searrow ↘ swarrow ↙ nwarrow ↖ leadsto ⇝ rightsquigarrow ⇝ twoheadrightarrow ↠ "
    "rightharpoonup ⇀ rightleftharpoons ⇌ rightleftarrows ⇄ circlearrowleft ↺ circlearrowright ↻ upharpoonright ↾ "
    "multimap ⊸ dashrightarrow ⇢ textrightarrow → "
    # brackets
    "langle ⟨ rangle ⟩ lceil ⌈ rceil ⌉ lfloor ⌊ rfloor ⌋ lbrace { rbrace } lbrack [ rbrack ] lvert | rvert | vert | "
    "lVert ‖ rVert ‖ Vert ‖ ulcorner ⌜ urcorner ⌝ llcorner ⌞ lrcorner ⌟ llbracket ⟦ rrbracket ⟧ "
    # the rest of formulas
    "infty ∞ partial ∂ nabla ∇ forall ∀ exists ∃ nexists ∄ emptyset ∅ varnothing ∅ neg ¬ lnot ¬ top ⊤ bot ⊥ angle ∠ "
    "measuredangle ∡ triangle △ vartriangle △ square □ Box □ blacksquare ■ qed ∎ Diamond ◇ lozenge ◊ clubsuit ♣ "
    "diamondsuit ♢ heartsuit ♡ spadesuit ♠ sharp ♯ flat ♭ natural ♮ aleph ℵ beth ℶ hbar ℏ hslash ℏ ell ℓ wp ℘ Re ℜ "
    "Im ℑ imath ı jmath ȷ prime ′ surd √ checkmark ✓ cmark ✓ xmark ✗ bigstar ★ therefore ∴ because ∵ complement ∁ "
    "mho ℧ ldots … dots … dotsc … dotsb … dotsm … dotso … cdots ⋯ vdots ⋮ ddots ⋱ colon : backslash \\ "
    # words
    "copyright © textcopyright © pounds £ textsterling £ euro € texteuro € textregistered ® texttrademark ™ degree ° "
    "textdegree ° textmu μ textbullet • textbackslash \\ textasciitilde ~ textasciicircum ^ textless < textgreater > "
    "textbar | textunderscore _ textendash – textemdash — textquotedblleft “ textquotedblright ” textquoteleft ‘ "
    "textquoteright ’ textquotesingle ' textquotedbl \" guillemotleft « guillemotright » quotedblbase „ "
    "textellipsis … textdollar $ textonehalf ½ LaTeX LaTeX LaTeXe LaTeX2e TeX TeX BibTeX BibTeX LaTeXML LaTeXML "
)

# Printed upright, with a space between them and the letters beside them: "n log n".
FUNCTIONS = {name: name for name in _names(
    "log ln lg exp sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan min max inf sup lim arg det dim "
    "ker deg gcd lcm hom Pr argmin argmax softmax poly polylog rank diag sign sgn supp"
)} | {"liminf": "lim inf", "limsup": "lim sup", "bmod": "mod", "mod": "mod"}  # fmt: skip

# Macros that many papers define, always with the same meaning. In formulas only.
COMMON_MACROS = _pairs(
    "eps ε vareps ε R ℝ RR ℝ Rd ℝᵈ reals ℝ N ℕ NN ℕ Z ℤ ZZ ℤ integers ℤ Q ℚ QQ ℚ E 𝔼 EE 𝔼 NP NP bigO O BigO O bigo O "
    "bigoh O bigOh O BigOh O Oh O OO O O O"
)

# Switches and sizes, which print nothing.
NO_OUTPUT = _names(
    "left right middle big Big bigg Bigg bigl bigr bigm Bigl Bigr Bigm biggl biggr biggm Biggl Biggr Biggm limits "
    "nolimits displaystyle textstyle scriptstyle scriptscriptstyle it bf em rm sf tt sc sl cal itshape slshape scshape "
    "upshape bfseries mdseries rmfamily sffamily ttfamily normalfont tiny scriptsize footnotesize small normalsize "
    "large Large LARGE huge Huge boldmath unboldmath centering xspace noindent protect relax null allowbreak nobreak "
    "unskip ignorespaces nonumber notag mathstrut"
)
SPACES = _names("quad qquad enspace thinspace space par newline linebreak smallskip medskip bigskip hfill")

# Commands by what becomes of their argument: read as text or as a formula, printed as citation keys, not printed.
TEXT_ARGUMENT = _names(
    "text textrm textit textbf textsf texttt textsc textsl textup textmd textnormal emph mbox hbox underline uline"
)
FORMULA_ARGUMENT = _names(
    "mathrm mathsf mathtt mathup operatorname mathbf mathit mathnormal boldsymbol bm pmb mathop mathord mathrel "
    "mathbin mathopen mathclose mathpunct ensuremath smash cramped boxed fbox underbrace overbrace substack underbar"
)
CITATIONS = _names(
    "cite citep citet citealp citealt citeauthor citeyear citeyearpar parencite textcite shortcite nocite ref eqref "
    "autoref cref Cref pageref nameref"
)
NOT_PRINTED = _names("label vspace hspace color phantom hphantom vphantom thispagestyle pagestyle")
# In formulas, a space separates these from the letters beside them.
UPRIGHT = _names("mathrm mathsf mathtt mathup operatorname text textrm textsf texttt textsc textnormal mbox hbox")
TWO_ARGUMENTS = _names("frac dfrac tfrac cfrac sfrac nicefrac binom dbinom tbinom overset underset stackrel")
ENVIRONMENTS = _names("itemize enumerate description quote center abstract document")  # their \begin and \end go

SUPERSCRIPTS = dict(
    zip(
        "0123456789+-−=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWβγδθφϕχ*′†‡∘°⊤",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵝᵞᵟᶿᵠᵠᵡ*′†‡°°ᵀ",
        strict=True,
    )
)
SUBSCRIPTS = dict(
    zip("0123456789+-−=()aehijklmnoprstuvxβγρφϕχ", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵩᵪ", strict=True)
)


def _alphabet(style: str) -> dict[str, str]:
    """Return the letters of a mathematical alphabet; a few, like ℝ, have an older name than the rest of it."""
    letters: dict[str, str] = {}
    for char in ascii_letters + digits:
        case = "CAPITAL" if char.isupper() else "SMALL"
        name = f"{style} {case} {char}" if char.isalpha() else f"{style} {unicodedata.name(char)}"
        older = name.replace("FRAKTUR", "BLACK-LETTER")
        for candidate in (f"MATHEMATICAL {name}", older):
            try:
                letters[char] = unicodedata.lookup(candidate.upper())
                break
            except KeyError:
                continue
    return letters


_DOUBLE, _SCRIPT, _FRAKTUR = _alphabet("DOUBLE-STRUCK"), _alphabet("SCRIPT"), _alphabet("FRAKTUR")
ALPHABETS = {
    "mathbb": _DOUBLE, "mathds": _DOUBLE, "mathbbm": _DOUBLE, "Bbb": _DOUBLE, "mathcal": _SCRIPT, "mathscr": _SCRIPT,
    "cal": _SCRIPT, "mathfrak": _FRAKTUR, "frak": _FRAKTUR,
}  # fmt: skip

# How many arguments a command takes, with or without braces: `x^\frac12`.
_OTHERS = ("sqrt", "pmod", "xrightarrow", "textsuperscript", "textsubscript")
_ONE_ARGUMENT = [*TEXT_ARGUMENT, *FORMULA_ARGUMENT, *MATH_ACCENTS, *ALPHABETS, *_OTHERS]
ARITY = dict.fromkeys(_ONE_ARGUMENT, 1) | dict.fromkeys(TWO_ARGUMENTS, 2)
