"""Every number that decides, in one place, with the reason for it. What is learned from recorded incidents stands in TOML files beside this:
confidence.toml and storm.toml, both made by `agent-sre eval … --refit --write`.
"""

from __future__ import annotations

from collections.abc import Mapping

# Confidence (confidence.py)

HIGH = 0.9
"""Nine of ten verdicts that are called high must be right: one wrong in ten is what an on-call engineer still forgives a colleague."""

MEDIUM = 0.5
"""More often right than wrong."""

CONFIDENCE_PRIOR: Mapping[str, float] = {
    # Where learning starts, and what stands where no example says otherwise.
    "always": -2.5,  # a single detector of weight 0.7 that nobody contradicts is not yet high
    "score": 3.0,  # what the detectors themselves think
    "lead": 2.0,  # over the best hypothesis about another object: many suspects are none
    "lead of cause": 1.0,  # over another cause of the same object: the object may be right and its trouble not
    "kinds of evidence": 0.5,  # independent ways of seeing it; each more is harder to explain by chance
    "contradicted": -1.0,
    "gaps": -0.5,  # what could not be asked may hold the better answer
}

MOST_KINDS = 3
"""Kinds of evidence and ways of seeing that still add something; a fourth is mostly the second again."""

CLOSE_RIVAL = 0.8
"""A rival with so much of the first's score is as good."""

CONFIDENCE_PULL = 1.0
"""How hard the prior holds on when confidence is learned: about one verdict's worth of doubt for each sign."""

MULTIPLIERS = (0.6, 0.8, 1.0, 1.2, 1.4)
"""What learning may multiply a detector's weights with: it corrects the scale on which somebody guessed, it does not overrule him."""

HEAVIEST = 0.97
"""Of a finding after that: nothing that one detector saw is certain."""

# Storms (storm.py, detectors/storm.py)

STORM_EXPERT: Mapping[str, float] = {
    # Shapes that the storms which the weights were learned from do not have; learning starts from these.
    "odd down": 0.8,  # a program that crashes or is gone is rather a source than a victim: victims wait and fail, they do not stop
    "rare down": 0.6,
    "odd process+": 0.3,  # connections and threads pile up where they are held
}

STORM_PULL = 2.0
"""How hard these hold on; found on storms that were held out."""

STORM_ENOUGH_HISTORY = 3
"""Earlier storms before what is usual can be told."""

STORM_USUAL = 0.3
"""An alert that fires in three of ten storms is missed when it does not."""

STORM_MOST_SURPRISE = 6.0
"""Log of 400: beyond that, history is too short to tell."""

STORM_NEW = 3.0
"""An alert that surprises so much fires in less than one of twenty storms: it is new, whatever else fires."""

STORM_MOST_MISSED = 12.0
"""Enough to say that a program which usually writes is silent; a talkative one shall not outweigh everything else."""

STORM_FEWEST = 3
"""Objects: of two either may be the other's victim."""

STORM_LEAST_SHARE = 0.4
"""Of all suspicion: below, two of three guesses were wrong on recorded storms."""

STORM_LEAST_LEAD = 1.5
"""Times the share of the second; closer than that, both are worth a look and neither is the answer."""

STORM_WEIGHT = 0.6
"""Of a share of 1, as a cause that is proposed. A share of five sixths, which was right nine times of ten, comes before what is only usual (0.5);
it stays below what was measured."""
