"""The daily job, and the questions that are answered on the same path.

    run        fetch ──▶ record ──▶ select ──▶ compose ──▶ render ──▶ publish ──▶ deliver
    archive    the public edition of each day, and its pages and feeds
    preview    the same, up to the rendered mail
    explain    why a paper was or was not in it          backtest   what another configuration would have chosen
    inbox      replies, acted on before each run         similar    papers by words and by similarity

`context` opens what the steps use. `select`, `deliver` and `notify` are parts of the job.
"""

__all__ = ["archive", "backtest", "context", "deliver", "explain", "inbox", "preview", "run", "similar"]
