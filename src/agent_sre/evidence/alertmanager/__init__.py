"""Alertmanager: what it holds now, and what it holds back. Read only: no silence is ever made or ended from here."""
