"""Get trending papers in your email inbox once a day.

Start reading at `digest.pipeline.run`, the daily job. Packages in the order of the data flow, each importing only from
those before it: papers, sources, ranking, mail, delivery, inbound, archive, store, pipeline, operations, demo, cli.
"""

__version__ = "0.1.0"
