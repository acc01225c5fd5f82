"""The daily job, and the questions that are answered on the same path.

    run        fetch ──▶ record ──▶ select ──▶ compose ──▶ render ──▶ publish ──▶ deliver
    archive    the public edition of each day, and its pages and feeds
    inbox      letters, acted on before each run and between runs; `requests` does what readers ask for
    preview    the same, up to the rendered mail
    explain    why a paper was or was not in it          backtest   what another configuration would have chosen
    similar    papers by words and by similarity

`context` opens what the steps use. `select`, `deliver` and `notify` are parts of the job.
"""

__all__ = ["archive", "backtest", "context", "deliver", "explain", "inbox", "preview", "run", "similar"]
