"""Run every measurement, one after another."""

from tests.bench import archive, delivery, history, mail, readers, selection, startup

startup.main()
mail.main()
selection.main()
delivery.main()
readers.main()
history.main()
archive.main()
