"""What an operator needs besides the daily job.

`init` writes the first configuration, `schedule` finds what runs it (`crontab` and `systemd` install a `timetable`,
`github` writes a workflow), `status` and `doctor` report the state, and `subscriber_files` imports and exports
subscribers.
"""

__all__ = [
    "checks", "crontab", "doctor", "doctor_mail", "github", "init", "installation", "schedule", "status",
    "subscriber_files", "systemd", "timetable",
]  # fmt: skip
