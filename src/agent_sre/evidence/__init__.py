"""What was measured, and what could not be.

`evidence` has the types and the seam, `gather` asks all sources side by side, `playbooks` say what an expert knows before looking.
"""
