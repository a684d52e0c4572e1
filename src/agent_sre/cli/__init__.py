"""The command line. Each command is a file; heavy imports happen inside the commands, so that `--help` is instant."""
