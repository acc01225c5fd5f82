"""Run every measurement, one after another."""

from tests.bench import archive, delivery, history, mail, selection, startup

startup.main()
mail.main()
selection.main()
delivery.main()
history.main()
archive.main()
