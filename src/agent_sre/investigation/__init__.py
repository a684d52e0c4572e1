"""The job: what happens to an incident from "new" to "reported". `ingest` opens and closes, `worker` runs, `sweep` finds what was forgotten."""
