"""Format 1: which groups are sections, steps and ranks, and what their attributes hold."""
