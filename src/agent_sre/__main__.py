"""`python -m agent_sre` is the same as the `agent-sre` command."""

from agent_sre.cli.main import main

if __name__ == "__main__":
    main()
