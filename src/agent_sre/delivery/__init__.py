"""What leaves the house: reports. Notifiers (Slack, PagerDuty, …) get their rooms here."""
