"""Recorded worlds: a support bundle, a folder of kubectl's texts, a case of a benchmark, read as if the systems were still there."""
