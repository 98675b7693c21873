"""Judgement of a batch: scorers add columns, rules read them. No Beam."""
