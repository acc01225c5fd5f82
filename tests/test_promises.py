"""The promises of the README, and the tests that hold each of them.

A promise is quoted from the README; change both together. A test is `folder/module::name` without `test_`. What the
README says of single commands, options, keys and exit codes is checked in `cli/test_docs.py`.
"""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
README = " ".join((TESTS.parent / "README.md").read_text(encoding="utf-8").split())

PROMISES = {
    "It never sends a paper twice": (
        "pipeline/run::each_paper_reaches_each_subscriber_exactly_once",
        "pipeline/run::another_version_spelling_or_identifier_of_a_shown_paper_is_not_shown_again",
        "store/papers::rows_are_the_consistent_components_of_shared_names",
        "store/papers::a_feed_changes_no_paper_of_another_source",
        "system/upstream::four_weeks_of_two_services_show_no_paper_twice",
    ),
    "loses nothing when it is killed or a server is down": (
        "pipeline/run::killed_at_any_commit_and_run_again_everybody_gets_the_days_mail_once",
        "system/crash::a_run_killed_at_each_of_its_steps_is_made_good_by_the_next",
        "system/crash::after_five_hundred_kills_only_mail_that_the_server_may_have_got_is_lost",
        "system/faults::a_full_disk_loses_nothing",
    ),
    "tells you when a source is stale": (
        "sources/freshness::yesterdays_batch_on_an_announcement_day_is_stale_and_reported_everywhere",
        "sources/freshness::a_weekend_and_a_holiday_are_not_reported",
    ),
    "No tracking, no images, no account, no database server": (
        "system/browser::nothing_keeps_anybody_from_reading_it",
        "mail/templates::nothing_that_the_html_names_is_fetched",
        "cli/cli::the_demo_touches_no_folder_of_yours",
    ),
    "exactly the mail that would be sent": ("pipeline/run::the_preview_is_the_mail_and_marks_nothing",),
    "After days without a run, the next one catches up": (
        "sources/freshness::a_missed_batch_is_read_from_the_api",
        "sources/huggingface::every_list_since_the_last_complete_run_is_requested_up_to_two_weeks",
        "system/upstream::after_four_days_off_one_mail_has_what_was_missed_and_the_rest_follows",
    ),
    "A paper that matches moves up, and the mail says why": (
        "pipeline/run::a_topic_leads_says_why_and_may_be_all_there_is",
        "ranking/topics::a_muted_paper_is_never_shown_even_if_a_topic_matches",
        "pipeline/explain::each_kind_of_match_adds_what_the_readme_says",
    ),
    "Times are in `digest.timezone`, whatever the machine's is": (
        "operations/schedule::in_any_zone_on_any_machine_the_job_starts_once_a_day",
        "operations/schedule::at_any_hour_the_job_starts_once_a_day",
    ),
    "leaves every other line alone": (
        "operations/schedule::after_install_and_remove_every_byte_is_as_it_was",
        "operations/schedule::debians_crontab_takes_the_block_and_gives_every_other_line_back",
    ),
    "Cron mails you only when something is wrong": (
        "cli/cli::results_go_to_standard_output_logs_to_standard_error_and_q_says_nothing",
        "cli/cli::problems_are_printed_even_when_quiet",
        "operations/schedule::a_real_shell_skips_the_wrong_times_silently",
    ),
    "Each reader gets a separate message": (
        "pipeline/run::who_is_no_longer_named_gets_nothing_and_nobody_sees_anothers_address",
        "cli/subscribers::topics_and_limit_shape_the_mail_of_a_subscriber_alone",
    ),
    "Each unsubscribe link has a token that cannot be forged": (
        "pipeline/inbox::an_unknown_token_unsubscribes_nobody",
        "pipeline/inbox::a_thousand_damaged_letters_unsubscribe_and_suspend_nobody",
        "cli/subscribers::a_token_is_that_of_its_subscriber_and_no_other",
    ),
    "Bounces are counted, and addresses that do not exist get no more mail": (
        "pipeline/inbox::an_address_that_does_not_exist_gets_no_more_mail",
        "pipeline/inbox::mail_that_comes_back_on_five_days_in_a_row_suspends",
        "pipeline/inbox::nobody_is_suspended_by_forged_reports_on_however_many_days",
        "pipeline/deliver::an_address_refused_on_three_days_is_suspended_and_listed",
    ),
    "Those who unsubscribed stay unsubscribed": (
        "cli/subscribers::an_unsubscribed_address_stays_unsubscribed_until_added_by_hand",
        "pipeline/inbox::who_was_added_again_may_say_thanks",
        "store/backup::a_restored_backup_sends_nothing_until_somebody_has_read_what_it_lacks",
    ),
    "The mailbox is only read, never changed": (
        "pipeline/inbox::a_letter_to_the_address_in_the_mail_unsubscribes_before_the_next_mail",
        "inbound/mailbox::a_maildir_is_read_whole_and_not_changed",
        "inbound/mailbox::a_real_mailbox_is_read_and_not_changed",
    ),
    "If it cannot be read for 48 hours, mail is held back": (
        "pipeline/inbox::a_mailbox_that_cannot_be_read_is_said_loudly_and_after_two_days_holds_the_mail",
    ),
    "says how to fix what is wrong": (
        "operations/doctor::a_problem_is_reported_with_its_fix_and_hides_no_other_check",
        "operations/doctor::it_changes_no_file",
    ),
    "tries again for three days; then it expires, and its papers can be in a later mail": (
        "store/outbox::what_has_waited_for_more_than_three_days_expires",
        "pipeline/run::papers_of_a_mail_that_expired_unsent_come_again",
        "pipeline/deliver::a_run_as_of_a_later_day_lets_no_mail_expire",
    ),
    "with `/start` when a run starts, and with `/fail` when it fails": (
        "pipeline/notify::a_good_run_pings_its_start_and_its_success",
        "pipeline/notify::every_kind_of_failure_pings_fail",
    ),
    "`backup` copies the history, even during a run": (
        "store/backup::a_backup_in_the_middle_of_a_run_continues_where_that_was",
        "store/backup::every_backup_is_whole_while_another_process_writes_all_the_time",
    ),
    "delete `history.db.mark`, which stops runs until then": (
        "store/backup::a_restored_backup_sends_nothing_until_somebody_has_read_what_it_lacks",
        "store/backup::a_history_restored_on_another_machine_goes_on_with_a_warning",
    ),
    "It keeps which papers each reader was sent, so none comes twice": (
        "store/prune::the_mail_is_the_same_with_and_without_pruning_and_no_paper_comes_twice",
        "store/prune::killed_at_every_step_it_has_done_all_or_nothing",
    ),
    "secrets are never printed": (
        "logs::no_secret_of_the_environment_is_ever_printed",
        "cli/terminal::no_text_in_the_history_brings_a_secret_into_a_message",
        "delivery/hostile_smtp::an_access_token_that_the_server_quotes_is_not_shown",
        "config::a_syntax_error_never_shows_a_secret",
    ),
    "All mistakes are reported at once, by key, with what to write instead": (
        "config::all_problems_are_reported_at_once",
        "config::a_problem_in_the_digest_table_names_its_key_and_what_to_write",
    ),
    "TLS is verified and never downgraded": (
        "delivery/smtp::a_server_with_an_untrusted_certificate_gets_neither_mail_nor_password",
        "delivery/smtp::a_server_without_starttls_gets_neither_mail_nor_password",
        "inbound/mailbox::a_server_with_an_untrusted_certificate_gets_no_password",
        "inbound/mailbox::a_server_without_encryption_gets_no_password",
    ),
    "One broken source stops nothing else": (
        "pipeline/run::one_source_that_cannot_be_read_is_named_in_the_mail_and_the_rest_goes_out",
        "sources/hostile::a_mutated_response_is_a_page_or_an_error",
        "sources/fetcher::a_source_that_takes_too_long_is_given_up",
    ),
    "each result is on disk before the next message leaves": (
        "store/outbox::what_is_settled_is_on_disk",
        "delivery/smtp_pool::whatever_the_servers_do_no_body_precedes_the_last_outcome_and_every_body_has_one",
    ),
    "Only a connection that dies between the server's acceptance and its reply can cause a second copy": (
        "pipeline/deliver::mail_in_doubt_is_sent_again_by_the_next_run_byte_for_byte",
        "system/crash::sixty_kills_at_random_instants_lose_nothing_and_double_next_to_nothing",
        "system/crash::six_runs_at_once_send_each_message_once",
    ),
    "Ctrl-C finishes the messages under way": (
        "pipeline/deliver::a_run_that_is_interrupted_settles_what_left_and_the_next_goes_on",
        "system/crash::a_signal_ends_a_run_well_and_the_next_goes_on",
    ),
    "Tests use real SQLite files, SMTP servers and browsers, no mocks, no network": ("promises::no_test_uses_a_mock",),
}


def functions(module: Path) -> set[str]:
    return {
        node.name for node in ast.parse(module.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_is_in_the_readme_and_has_its_tests(promise: str) -> None:
    assert promise in README
    for test in PROMISES[promise]:
        path, _, name = test.partition("::")
        module = TESTS / path
        assert f"test_{name}" in functions(module.with_name(f"test_{module.name}.py")), test


def test_no_test_uses_a_mock() -> None:
    for path in TESTS.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        used = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        used |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {name for name in used if "mock" in name.lower()}, path
