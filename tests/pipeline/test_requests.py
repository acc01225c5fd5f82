"""Readers act by mail: they subscribe, choose, vote and leave; and what nobody can make the digest do."""

import json
import re
from datetime import timedelta
from email.message import EmailMessage

import pytest

from digest.mail.requests import confirmation_token, feedback_token
from digest.store.database import run_lock
from tests.conftest import Workplace, html_of, paper, titles
from tests.correspondence import FEEDBACK, SIGNUP, TOKEN, Post, letter, plain, reply

pytestmark = pytest.mark.slow

ANN = "ann@reader.example"
FEEDBACK_LINK = re.compile(r"feedback\+([a-z2-7]{32})@")


@pytest.fixture
def post(workplace: Workplace) -> Post:
    return Post(workplace)


def ask(sender: str = ANN, **fields: str) -> bytes:
    return letter(sender, "subscribe@example.org", "subscribe", **fields)


# --- Subscribe


def test_a_letter_is_answered_by_one_confirmation_and_any_reply_to_it_subscribes(post: Post) -> None:
    (confirmation,) = post.get(ask("Ann <ann@reader.example>", Message_ID="<1@reader.example>"))
    assert (confirmation["To"], confirmation["In-Reply-To"]) == (ANN, "<1@reader.example>")
    assert confirmation["Auto-Submitted"] == "auto-replied"
    (token,) = TOKEN.findall(str(confirmation["Subject"]))
    assert str(confirmation["Reply-To"]) == f"subscribe+{token}@example.org"
    assert post.states() == {ANN: "pending"}
    (welcome,) = post.get(reply(confirmation, "yes please"))
    assert (welcome["To"], welcome["Auto-Submitted"]) == (ANN, "auto-replied")
    assert post.states() == {ANN: "active"}
    assert "joined by mail on 2026-04-20" in post.command("subscribers", "list").stdout
    assert len(titles(post.mail_of_day(ANN))) == 6


@pytest.mark.parametrize("prefix", ["Re: ", "AW: ", "回复: ", "RE: [EXTERNAL] ", ""])
def test_a_reply_confirms_by_its_subject_where_its_address_has_lost_the_token(post: Post, prefix: str) -> None:
    (confirmation,) = post.get(ask())
    post.get(letter(ANN, "digest@example.org", f"{prefix}{confirmation['Subject']}"))
    assert post.states() == {ANN: "active"}


def test_a_reply_from_another_address_subscribes_the_one_that_asked(post: Post) -> None:
    (confirmation,) = post.get(ask())
    (welcome,) = post.get(reply(confirmation, sender="ann@elsewhere.example"))
    assert welcome["To"] == ANN
    assert post.states() == {ANN: "active"}


def test_a_token_that_is_forged_expired_used_or_of_another_purpose_subscribes_nobody(post: Post) -> None:
    (confirmation,) = post.get(ask())
    (token,) = TOKEN.findall(str(confirmation["Subject"]))
    other = token[:-1] + ("a" if token[-1] != "a" else "b")
    forged = confirmation_token(b"another secret" * 3, 1, ANN, post.now + timedelta(days=3))
    for wrong in (other, forged, "a" * 40, "7" * 40, token[:39]):
        assert not post.get(letter(ANN, f"subscribe+{wrong}@example.org", f"Re: Confirm ({wrong})"))
    assert not post.get(letter(ANN, f"leave+{token}@example.org", "unsubscribe", Auto_Submitted="auto-replied"))
    assert post.states() == {ANN: "pending"}
    post.later(days=3)
    assert not post.get(reply(confirmation))
    assert post.states() == {}


def test_a_token_confirms_once_so_a_replayed_reply_does_not_bring_back_who_left(post: Post) -> None:
    (first,) = post.get(ask())
    post.later(hours=25)
    (second,) = post.get(ask(Message_ID="<2@r.example>"))
    assert len(post.get(reply(second))) == 1
    post.get(reply(post.mail_of_day(ANN), "unsubscribe"))
    for confirmation in (first, second):
        assert not post.get(reply(confirmation, "again", Message_ID=f"<{len(str(confirmation))}@r.example>"))
    assert post.states() == {ANN: "unsubscribed"}


def test_who_left_may_come_back_by_a_letter_of_their_own(post: Post) -> None:
    post.join(ANN)
    (goodbye,) = post.get(reply(post.mail_of_day(ANN), "unsubscribe"))
    assert "You are unsubscribed" in plain(goodbye)
    assert post.states() == {ANN: "unsubscribed"}
    post.later(days=2)
    post.join(ANN)
    assert post.states() == {ANN: "active"}


def test_one_confirmation_in_24_hours_whoever_asks_and_whether_subscribed_or_not(post: Post) -> None:
    assert len(post.get(ask(), ask("ANN@reader.example"), ask("Ann <ann@reader.example>"))) == 1
    post.later(hours=23)
    assert not post.get(ask(Message_ID="<2@r.example>"))
    post.later(hours=2)
    assert len(post.get(ask(Message_ID="<3@r.example>"))) == 1


def test_nobody_learns_who_subscribes(post: Post) -> None:
    """A subscriber, one in digest.to, one who left and a stranger get the same letter at the same time."""
    post.workplace.to = ["known@reader.example"]
    post.join("joined@reader.example")
    post.command("subscribers", "add", "gone@reader.example")
    post.command("subscribers", "remove", "gone@reader.example")
    post.later(days=2)
    people = ("known@reader.example", "joined@reader.example", "gone@reader.example", "stranger@reader.example")
    answers = post.get(*(ask(person) for person in people))
    assert sorted(str(mail["To"]) for mail in answers) == sorted(people)

    def without_tokens(mail: EmailMessage) -> str:
        return re.sub(r"[a-z2-7]{40}|<[^>]*>|\S+@reader.example", "", mail.as_string())

    assert len({without_tokens(mail) for mail in answers}) == 1


def test_no_word_of_a_stranger_is_repeated(post: Post) -> None:
    phishing = "Your bank https://evil.example/login"
    raw = letter(
        f'"{phishing}" <victim@reader.example>', f'"{phishing}" <subscribe@example.org>', f"subscribe {phishing}",
        phishing, Message_ID=f"<{'evil' * 9}@x.example>", Reply_To="other@reader.example",
    )  # fmt: skip
    (confirmation,) = post.get(raw)
    assert confirmation["To"] == "victim@reader.example"
    shown = confirmation.as_string().replace(str(confirmation["In-Reply-To"]), "")
    assert not re.search("evil|bank|login|http", shown)


def test_a_confirmation_has_no_link_that_a_scanner_could_open(post: Post) -> None:
    (confirmation,) = post.get(ask())
    assert "://" not in confirmation.as_string()
    assert "mailto:" not in confirmation.as_string()


def test_of_500_strangers_in_a_day_as_many_are_answered_as_the_limit_says_and_the_others_wait(
    workplace: Workplace,
) -> None:
    post = Post(workplace, SIGNUP + "max_per_day = 200\n")
    people = [f"stranger{n}@reader.example" for n in range(500)]
    answered = [str(mail["To"]) for mail in post.get(*map(ask, people))]
    assert sorted(answered) == sorted(people[:200])
    status = json.loads(post.command("status", "--json").stdout)["signup"]
    assert status == {"pending": 200, "waiting": 300, "today": 200, "max_per_day": 200}
    assert "200 of at most 200 confirmations today" in post.command("status").stdout
    assert "300 requests wait for another day" in post.command("doctor", code=2).stdout
    assert not post.get()
    post.later(days=1)
    assert sorted(str(mail["To"]) for mail in post.get()) == sorted(people[200:400])
    post.later(days=1)
    assert sorted(str(mail["To"]) for mail in post.get(ask("late@reader.example"))) == sorted(
        [*people[400:], "late@reader.example"]
    )


def test_a_request_waits_three_days_at_most(workplace: Workplace) -> None:
    post = Post(workplace, SIGNUP + "max_per_day = 1\n")
    people = [f"stranger{n}@reader.example" for n in range(5)]
    found = [mail["To"] for mail in post.get(*map(ask, people))]
    for _ in range(4):
        post.later(days=1)
        found += [mail["To"] for mail in post.get()]
    assert found == people[:3]
    assert post.states() == {"stranger2@reader.example": "pending"}


def test_without_signup_nobody_is_subscribed_or_answered(workplace: Workplace) -> None:
    post = Post(workplace)
    (confirmation,) = post.get(ask())
    post.workplace.more = post.workplace.more.replace(SIGNUP, "")
    assert not post.get(reply(confirmation), ask("bob@reader.example"))
    assert post.states() == {ANN: "pending"}


# --- Automata


AUTOMATIC = [
    {"Auto_Submitted": "auto-replied"},
    {"Auto_Submitted": "auto-generated"},
    *({"Precedence": value} for value in ("bulk", "junk", "list", "auto_reply")),
    {"List_Id": "<x.example>"},
    {"List_Unsubscribe": "<mailto:x@x.example>"},
    {"X_Auto_Response_Suppress": "All"},
    {"X_Auto_Response_Suppress": "OOF, AutoReply"},
    {"Return_Path": "<>"},
]


def test_no_automatic_letter_subscribes_confirms_chooses_votes_or_is_answered(post: Post) -> None:
    welcome = post.join(ANN)
    mail = post.mail_of_day(ANN)
    (confirmation,) = post.get(ask("bob@reader.example"))
    for fields in AUTOMATIC:
        for each in (welcome, mail, confirmation):
            post.deliver(reply(each, "I am away.", **fields))
        for line in ("+1 -2", "max 3", "unsubscribe", "help", "reset"):
            post.deliver(reply(mail, line, **fields))
        post.deliver(ask("eve@reader.example", **fields))
    assert not post.get()
    assert post.states() == {ANN: "active", "bob@reader.example": "pending"}
    shown = json.loads(post.command("subscribers", "show", ANN, "--json").stdout)
    assert (shown["feedback"], shown["max_papers"]) == ([], None)


@pytest.mark.parametrize("subject", ["Automatic reply", "Out of Office", "Abwesenheitsnotiz", "Réponse automatique"])
def test_an_out_of_office_reply_that_says_so_in_its_subject_alone_confirms_nothing(post: Post, subject: str) -> None:
    (confirmation,) = post.get(ask())
    assert not post.get(letter(ANN, str(confirmation["Reply-To"]), f"{subject}: {confirmation['Subject']}"))
    assert post.states() == {ANN: "pending"}


@pytest.mark.parametrize("sender", ["digest", "digest+x", "SUBSCRIBE", "feedback+y", "leave"])
def test_a_letter_from_an_address_of_ours_does_nothing(post: Post, sender: str) -> None:
    assert not post.get(ask(f"{sender}@example.org"))
    assert post.states() == {}


def test_two_digests_that_are_made_to_write_to_each_other_stop_at_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    one, other = (Post(Workplace(tmp_path_factory.mktemp(name))) for name in ("one", "other"))
    other.workplace.digest = {}
    text = other.workplace.more.replace("example.org", "other.example")
    other.workplace.more = text
    (confirmation,) = one.get(ask("subscribe@other.example"))
    assert not other.get(confirmation.as_bytes())
    assert other.states() == {}


def test_what_a_forger_writes_is_ignored_where_a_server_names_it(workplace: Workplace) -> None:
    post = Post(workplace)
    post.workplace.more = post.workplace.more.replace("[inbox]\n", '[inbox]\nauthserv = "mx.example.org"\n')
    failed = "mx.example.org; spf=pass smtp.mailfrom=x.example; dmarc=fail (p=none) header.from=reader.example"
    assert not post.get(ask(Authentication_Results=failed))
    assert len(post.get(ask("bob@reader.example", Authentication_Results=failed.replace("fail", "pass")))) == 1
    elsewhere = failed.replace("mx.example.org", "mx.elsewhere.example")
    assert len(post.get(ask("cyd@reader.example", Authentication_Results=elsewhere))) == 1
    post.command("subscribers", "add", ANN)
    mail = post.mail_of_day(ANN)
    assert not post.get(reply(mail, "max 3", Authentication_Results=failed))
    assert len(post.get(reply(mail, "max 3"))) == 1


# --- Choose


def chosen(post: Post) -> str:
    return next(line for line in post.command("subscribers", "list").stdout.splitlines() if line.startswith(ANN))


def test_a_reader_chooses_and_is_told_how_it_stands_now(post: Post) -> None:
    welcome = post.join(ANN)
    assert "Topics:  all" in plain(welcome)
    mail = post.mail_of_day(ANN)
    (told,) = post.get(reply(mail, "topics robotics, Diffusion\nmax 5\ndays mon thursday"))
    assert "Topics:  Robotics, Diffusion" in plain(told) or "Topics:  Diffusion, Robotics" in plain(told)
    assert "Papers:  at most 5" in plain(told)
    assert "Days:    Monday, Thursday" in plain(told)
    assert re.search(r"active +Diffusion, Robotics +5 +mon, thu ", chosen(post))
    (told,) = post.get(reply(told, "topics all\nmax default\ndays all"))
    assert re.search(r"active +all +default +all ", chosen(post))
    assert "Days:    every day" in plain(told)


def test_a_reader_pauses_and_comes_back(post: Post) -> None:
    post.join(ANN)
    mail = post.mail_of_day(ANN)
    (told,) = post.get(reply(mail, "pause 2 weeks"))
    assert "paused until Monday 4 May 2026" in plain(told)
    assert "paused until 2026-05-04" in chosen(post)
    (told,) = post.get(reply(mail, "resume"))
    assert "Mail:    as usual" in plain(told)
    (told,) = post.get(reply(mail, "pause until 2026-12-24"))
    assert "paused until Thursday 24 December 2026" in plain(told)
    (told,) = post.get(reply(mail, "Pause."))
    assert "paused until you write “resume”" in plain(told)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("topics Astrology", "There is no such topic"),
        ("max 1000", "at most 120 papers"),
        ("pause until 2020-01-01", "Mail was not paused"),
        ("pause until 2026-02-31", "Mail was not paused"),
        ("days sunday", "no mail on these days"),
    ],
)
def test_what_cannot_be_is_said(post: Post, line: str, words: str) -> None:
    post.workplace.digest = {"days": ["mon", "tue"]}
    post.join(ANN)
    (told,) = post.get(reply(post.mail_of_day(ANN), line))
    assert words in " ".join(plain(told).split())
    assert "Astrology" not in told.as_string()


def test_help_comes_once_a_day_also_to_who_mistypes_a_first_line(post: Post) -> None:
    post.join(ANN)
    mail = post.mail_of_day(ANN)
    (told,) = post.get(reply(mail, "pause for breath"))
    assert "* pause 2 weeks" in plain(told)
    assert not post.get(reply(mail, "help"), reply(mail, "help", Message_ID="<3@x.example>"))
    post.later(days=1)
    assert len(post.get(reply(mail, "help", Message_ID="<4@x.example>"))) == 1


def test_twenty_answers_a_day_are_enough(post: Post) -> None:
    post.join(ANN)
    mail = post.mail_of_day(ANN)
    assert len(post.get(*(reply(mail, f"max {n}") for n in range(1, 31)))) == 18, "and the confirmation and the welcome"
    assert re.search(r"active +all +30 ", chosen(post))


def test_quoted_lines_and_lines_with_more_on_them_do_nothing(post: Post) -> None:
    post.join(ANN)
    mail = post.mail_of_day(ANN)
    assert not post.get(
        reply(mail, "Hi!\n> max 3\nmax 4"),
        reply(mail, "Thanks, I like +2 -5 and would unsubscribe from others\nplease pause"),
        reply(mail, f"On Monday digest@example.org wrote:\nunsubscribe\n{plain(mail)}"),
        reply(mail, "-----Original Message-----\nFrom: Paper Digest\nunsubscribe"),
        reply(mail, "________________________________\nFrom: Paper Digest\nmax 3"),
        reply(mail, "Trending papers\nmax 3"),
    )
    assert re.search(r"active +all +default ", chosen(post))


def test_a_reply_acts_only_for_its_reader_and_only_about_our_mail_to_them(post: Post) -> None:
    post.join(ANN)
    post.join("bob@reader.example")
    mail = post.mail_of_day(ANN)
    unknown = "<20260420.0123456789abcdef0123@example.org>"
    assert not post.get(
        reply(mail, "unsubscribe", sender="bob@reader.example"),
        reply(mail, "unsubscribe", sender="eve@reader.example"),
        reply(mail, "unsubscribe", In_Reply_To=unknown),
        letter(ANN, "digest@example.org", "hello", "unsubscribe\n"),
    )
    assert set(post.states().values()) == {"active"}


# --- Vote


def vote_links(mail: EmailMessage) -> list[tuple[str, str]]:
    """(address, subject) of each link by which a reader votes, as a mail program decodes them."""
    found = re.findall(r'href="mailto:([^"?]+)\?subject=((?:more|less)[^"]*)"', html_of(mail))
    return [(address, subject.replace("%20", " ")) for address, subject in found]


def labels(post: Post, address: str = ANN) -> dict[str, str]:
    shown = json.loads(post.command("subscribers", "show", address, "--json").stdout)["feedback"]
    assert all(set(label) == {"paper", "title", "label", "day"} for label in shown)
    return {label["paper"]: label["label"] for label in shown}


def test_a_link_under_a_paper_votes_for_its_reader_whoever_sends_it(post: Post) -> None:
    post.join(ANN)
    mail = post.mail_of_day(ANN)
    links = vote_links(mail)
    assert len(links) == 12
    assert links[0][1] == "more arxiv:2604.00000"
    assert re.fullmatch(r"feedback\+[a-z2-7]{32}@example\.org", links[0][0])
    address, subject = links[0]
    assert not post.get(letter("ann@elsewhere.example", address, subject), letter(ANN, links[3][0], links[3][1]))
    assert labels(post) == {"arxiv:2604.00000": "more", "arxiv:2604.00001": "less"}
    assert "more      2026-04-20  arxiv:2604.00000" in post.command("subscribers", "show", ANN).stdout
    post.get(letter(ANN, address, "less arxiv:2604.00000"))
    assert labels(post)["arxiv:2604.00000"] == "less", "the last word counts"


def test_the_token_rides_in_the_subject_where_no_mailbox_for_votes_is_named(workplace: Workplace) -> None:
    post = Post(workplace, SIGNUP + "[feedback]\n")
    post.join(ANN)
    address, subject = vote_links(post.mail_of_day(ANN))[0]
    assert address == "digest@example.org"
    post.get(letter("ann@elsewhere.example", address, subject))
    assert labels(post) == {"arxiv:2604.00000": "more"}


def test_a_reply_votes_by_places_in_that_mail(post: Post) -> None:
    post.join(ANN)
    mail = post.mail_of_day(ANN)
    assert re.findall(r"^(\d)\. ", plain(mail), re.MULTILINE) == list("123456")
    assert not post.get(reply(mail, "+2 −5\n+1, -6 +99 -0"))
    assert labels(post) == {
        "arxiv:2604.00001": "more", "arxiv:2604.00004": "less", "arxiv:2604.00000": "more", "arxiv:2604.00005": "less",
    }  # fmt: skip
    assert not post.get(reply(mail, "reset"))
    assert labels(post) == {}


def test_a_reply_as_html_alone_is_read_as_text(post: Post) -> None:
    post.join(ANN)
    mail = post.mail_of_day(ANN)
    made = EmailMessage()
    for name, value in (("From", ANN), ("To", "digest@example.org"), ("In-Reply-To", str(mail["Message-ID"]))):
        made[name] = value
    quoted = "<blockquote><p>unsubscribe</p></blockquote>"
    made.set_content(f"<style>p {{}}</style><div>+2&nbsp;<b>-5</b></div><div>max 3</div>{quoted}", subtype="html")
    assert len(post.get(made.as_bytes())) == 1
    assert labels(post) == {"arxiv:2604.00001": "more", "arxiv:2604.00004": "less"}
    assert re.search(r"active +all +3 ", chosen(post))


def test_a_forged_feedback_token_votes_for_nobody(post: Post) -> None:
    post.join(ANN)
    post.mail_of_day(ANN)
    forged = feedback_token("a" * 26)
    result_before = labels(post)
    post.get(letter(ANN, f"feedback+{forged}@example.org", "more arxiv:2604.00001"))
    assert labels(post) == result_before == {}


def test_votes_survive_export_prune_and_backup(post: Post, tmp_path_factory: pytest.TempPathFactory) -> None:
    post.join(ANN)
    post.get(reply(post.mail_of_day(ANN), "+2 -5"))
    voted = labels(post)
    people = post.workplace.folder / "people.json"
    table = post.workplace.folder / "people.csv"
    post.command("subscribers", "export", str(people))
    post.command("subscribers", "export", str(table))
    post.later(days=500)
    post.command("prune", "--older-than", "90d")
    assert labels(post) == voted
    for file in (people, table):
        other = Post(Workplace(tmp_path_factory.mktemp("other")))
        other.command("subscribers", "import", str(file))
        assert labels(other) == voted
        assert "joined by mail on 2026-04-20" in other.command("subscribers", "list").stdout
        other.later(days=1)  # the mail of the day came from the digest that was left
        other.list_papers(*(paper(n, upvotes=9) for n in range(11, 13)))
        other.command("run")
        assert len(other.mails()) == 1


def test_without_feedback_there_are_no_links_and_no_votes(workplace: Workplace) -> None:
    post = Post(workplace, SIGNUP)
    post.join(ANN)
    mail = post.mail_of_day(ANN)
    assert not vote_links(mail)
    post.get(reply(mail, "+1"))
    assert labels(post) == {}


# --- The mail


def test_the_preview_is_the_mail_byte_for_byte_with_all_links(post: Post) -> None:
    post.workplace.to = [ANN, "bob@reader.example"]
    post.list_papers()
    bytes_of = {}
    for to in post.workplace.to:
        target = post.workplace.folder / "preview.eml"
        post.command("preview", "--to", to, "--format", "eml", "--output", str(target))
        bytes_of[to] = target.read_bytes()
    post.command("run")
    sent = {path.read_bytes() for path in (post.workplace.folder / "mail" / "new").iterdir()}
    assert sent == {raw.replace(b"\r\n", b"\n") for raw in bytes_of.values()}
    for mail in post.mails():
        assert len(vote_links(mail)) == 12
        assert 'href="mailto:subscribe@example.org?subject=subscribe"' in html_of(mail)
    assert len({address for mail in post.mails() for address, _ in vote_links(mail)}) <= 2


def test_letters_are_left_to_a_run_in_progress(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("digest.store.database._WAIT_FOR_RUN", 0.2)
    post.deliver(ask())
    with run_lock(post.workplace.folder / "history.db"):
        assert "another run is in progress" in post.command("inbox", code=5).stderr
        assert post.command("-q", "inbox", code=5).output == ""
    assert len(post.get()) == 1


def test_a_run_waits_for_letters_that_are_being_read(post: Post) -> None:
    import threading

    post.workplace.to = [ANN]
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with run_lock(post.workplace.folder / "history.db", brief=True):
            entered.set()
            leave.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(10)
    threading.Timer(0.3, leave.set).start()
    post.command("run")
    holder.join()
    assert len(post.mails()) == 1


def test_feedback_alone_needs_no_signup(workplace: Workplace) -> None:
    post = Post(workplace, FEEDBACK, to=[ANN])
    mail = post.mail_of_day(ANN)
    post.get(reply(mail, "+1"))
    assert labels(post) == {"arxiv:2604.00000": "more"}


@pytest.mark.parametrize("subject", ["le\u017fs arxiv:2604.00001", "more arxiv:2604.00001"])
@pytest.mark.parametrize("body", ["re\u017fet", "pau\u017fe 2 weeks", "topic\u017f"])
def test_no_letter_of_a_reader_stops_the_mail_of_another(workplace: Workplace, subject: str, body: str) -> None:
    post = Post(workplace, to=[ANN, "bob@reader.example"])
    mail = post.mail_of_day(ANN)
    token = FEEDBACK_LINK.findall(html_of(mail))[0]
    post.deliver(letter(ANN, f"feedback+{token}@example.org", subject, body))
    post.deliver(reply(mail, body))
    post.later(days=1)
    assert len(titles(post.mail_of_day("bob@reader.example"))) == 6


def test_no_number_of_tags_brings_a_mailbox_a_second_confirmation(post: Post) -> None:
    tagged = [f"ann+{tag}@reader.example" for tag in ("a", "b", "%", "a+b")]
    others = ["anna@reader.example", "ann@elsewhere.example", "an_+x@reader.example", "+ann@reader.example"]
    asked = post.get(*(ask(address) for address in [*tagged, "ANN@Reader.example", *others]))
    assert [mail["To"] for mail in asked] == [tagged[0], *others]
    post.get(reply(asked[0]))
    assert post.states()[tagged[0]] == "active"
    post.later(hours=25)
    assert [mail["To"] for mail in post.get(*(ask(address) for address in [ANN, *tagged]))] == [ANN]


def test_a_broken_template_of_an_answer_stops_neither_the_answer_nor_the_mail(workplace: Workplace) -> None:
    (workplace.folder / "own").mkdir()
    (workplace.folder / "own" / "choices.txt").write_text("Subject: {{ nothing.at.all }}\n")
    workplace.digest["templates"] = "own"
    post = Post(workplace, to=[ANN])
    (answer,) = post.get(reply(post.mail_of_day(ANN), "max 3"))
    assert "3" in plain(answer)
    post.later(days=1)
    assert len(titles(post.mail_of_day(ANN))) == 3
