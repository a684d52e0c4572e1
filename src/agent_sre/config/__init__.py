"""Settings: from the environment, a file and secret files, to each room's own Settings. `settings` has the names, `load` the reading."""
