"""What the evidence says: detectors turn evidence into findings, ranking turns findings into hypotheses."""
