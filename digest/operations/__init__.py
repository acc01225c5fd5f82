"""What an operator needs besides the daily job.

`init` writes the first configuration, `schedule` finds what runs it (`crontab` and `systemd` install a `timetable`,
`github` writes a workflow), `status` and `doctor` report the state (`checks` formats what doctor found, `doctor_mail`,
`doctor_archive` and `doctor_domain` check a part each, `installation` knows how to add an extra), and
`subscriber_files` imports and exports subscribers.
"""

__all__ = [
    "checks", "crontab", "doctor", "doctor_archive", "doctor_domain", "doctor_mail", "github", "init", "installation",
    "schedule", "status", "subscriber_files", "systemd", "timetable",
]  # fmt: skip
