"""Run every measurement, one after another."""

from tests.bench import archive, delivery, history, mail, startup

startup.main()
mail.main()
delivery.main()
history.main()
archive.main()
