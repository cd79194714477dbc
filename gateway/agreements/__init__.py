"""WHAT was agreed: versions of agreements, and who proposed and decided on each.

What they mean for a split is the splitting room's, which reads the approved ones by a view.
"""
