"""Scenarios: recorded worlds whose cause is known, to measure rules and models with. `scenario` reads them, `recipe` makes a bundle of one."""
